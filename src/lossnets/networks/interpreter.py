"""Run a traced graph node by node."""

from __future__ import annotations

from typing import Any

from torch import fx


class Interpreter(fx.Interpreter):
    """torch's, without its progress bar.

    The bar, even a disabled one, makes a lock of `multiprocessing`, which decides the start method of the
    whole process before its owner can.
    """

    def run(self, *args: Any) -> Any:  # type: ignore[override]
        """Evaluate the graph for these inputs; what it returns."""
        self.env = {}
        self.args_iter = iter(self.graph.process_inputs(*args))
        for node in self.graph.nodes:
            self.env[node] = self.run_node(node)
            for done in self.user_to_last_uses.get(node, []) if self.garbage_collect_values else ():
                del self.env[done]
            if node.op == "output":
                return self.graph.process_outputs(self.env[node])
        return None
