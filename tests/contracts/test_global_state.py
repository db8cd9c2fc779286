"""One exam for everything that belongs to the process and not to us: it is afterwards as it was before.

What is looked at is in `STATE`, what is done in `ACTIONS`; something new joins by a line. All of it happens in
one fresh process, import included, in the order of the list, so that the first offender is named.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lossnets

SETUP = """
import faulthandler, hashlib, json, locale, logging, multiprocessing, os, pickle, random, signal, sys, threading
import warnings
import numpy, torch, PIL.Image, PIL.ImageFile, PIL.PngImagePlugin
import matplotlib
matplotlib.use("svg")
from pathlib import Path
PLACE = Path(sys.argv[1])
torch.set_num_threads(2)
warnings.simplefilter("error")
random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
"""

# what -> an expression
STATE = {
    "start method": "multiprocessing.get_start_method(allow_none=True)",
    "warnings filters": "[str(f) for f in warnings.filters]",
    "showwarning": "warnings.showwarning.__module__",
    "random state of python": "str(hash(random.getstate()))",
    "random state of numpy": "hashlib.sha256(pickle.dumps(numpy.random.get_state())).hexdigest()",
    "random state of torch": "hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()",
    "threads": "torch.get_num_threads()",
    "environment": "dict(os.environ)",
    "working folder": "os.getcwd()",
    "truncated images": "PIL.ImageFile.LOAD_TRUNCATED_IMAGES",
    "largest image": "PIL.Image.MAX_IMAGE_PIXELS",
    "largest text of a PNG": "PIL.PngImagePlugin.MAX_TEXT_CHUNK",
    "default type": "str(torch.get_default_dtype())",
    "default device": "str(torch.get_default_device())",
    "gradients": "[torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()]",
    "autocast": "[torch.is_autocast_enabled('cpu'), torch.is_autocast_cache_enabled()]",
    "deterministic": (
        "[torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()]"
    ),
    "matrix products": "torch.get_float32_matmul_precision()",
    "cudnn": (
        "[torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,"
        " torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32]"
    ),
    "mkldnn": "[torch.backends.mkldnn.enabled]",
    "sharing": "torch.multiprocessing.get_sharing_strategy()",
    "printing of tensors": "str(vars(torch._tensor_str.PRINT_OPTS))",
    "printing of arrays": "str(numpy.get_printoptions())",
    "errors of numpy": "numpy.geterr()",
    "log of the root": "[logging.root.level, [str(h) for h in logging.root.handlers], logging.root.disabled]",
    "raising of logging": "[logging.raiseExceptions, logging.root.manager.disable]",
    "class of loggers": "str(logging.getLoggerClass())",
    "matplotlib's backend": "matplotlib.get_backend()",
    "matplotlib's settings": (
        "hashlib.sha256(str(sorted(matplotlib.rcParams.items())).encode()).hexdigest()"
    ),
    "figures that are open": (
        "sys.modules['matplotlib.pyplot'].get_fignums() if 'matplotlib.pyplot' in sys.modules else []"
    ),
    "signal handlers": "[str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]",
    "exception hook": "[str(sys.excepthook), str(threading.excepthook)]",
    "recursion limit": "sys.getrecursionlimit()",
    "switch interval": "sys.getswitchinterval()",
    "locale": "locale.setlocale(locale.LC_ALL)",
    "threads that live on": "sorted(t.name for t in threading.enumerate() if not t.daemon)",
    "child processes": "[str(p) for p in multiprocessing.active_children()]",
    "search path": "sys.path",
}

_RUN = "from lossnets.benchmarks import load_benchmark; load_benchmark({!r}).evaluate_many(['pixel:mse'], profile='smoke')"
_LOSS = "import lossnets; loss = lossnets.load_loss({!r}); x = torch.full((1, 3, 64, 64), 0.25, requires_grad=True)"
_CALL = f"{_LOSS}; loss(x, torch.ones(1, 3, 64, 64)).backward(); loss.encode(x.detach())"

# what -> statements
ACTIONS = {
    **{f"import lossnets.{name}": f"import lossnets.{name}" for _, name, _ in pkgutil.iter_modules(lossnets.__path__)
       if not name.startswith("_")},
    **{f"loss {name}": _CALL.format(name) for name in (
        "pixel:mse", "pixel:ssim", "efficientnet_lite0/bn1", "squeezenet1_1/features.1:lpips:weights=random-0",
        "squeezenet1_1/features.1:gram:weights=random-0", "pgn:efficientnet_lite0",
    )},
    "perceptual_distance": "lossnets.perceptual_distance(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64))",
    "own network": (
        "import lossnets; net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU());"
        " lossnets.wrap_network(net, ['1'])"
    ),
    "list of networks": "lossnets.list_networks('timm/*resnet1*')",
    "write and read an image": (
        "from lossnets.images import read_image, write_image;"
        " write_image(PLACE / 'a.png', torch.full((3, 64, 64), 0.5)); read_image(PLACE / 'a.png')"
    ),
    **{f"benchmark {name}": _RUN.format(name) for name in (
        "similarity-sample", "image-prior-sample", "super-resolution-sample", "delineation-sample",
        "autoencoding-sample", "inversion-sample",
    )},
    "sweep": (
        "from lossnets.runs import Store, read_plan, run_sweep;"
        " (PLACE / 'p.yaml').write_text('name: p\\nlosses: [pixel:mse]\\nbenchmarks: {benchmark: similarity, data: sample}"
        "\\nprofile: smoke\\nstore: r.sqlite\\n'); run_sweep(read_plan(PLACE / 'p.yaml'), Store(PLACE / 'r.sqlite'))"
    ),
    "training of a head": (
        "from lossnets.benchmarks.similarity.training import train; from lossnets.datasets import read_sample;"
        " from lossnets.benchmarks.similarity.training_loop import TrainingSettings;"
        " train('squeezenet1_1/features.1:lpips:weights=random-0', read_sample('smoke'), 'lin',"
        " TrainingSettings(1, 0))"
    ),
    "training of a gradient network": (
        "from lossnets.gradients.training.profiles import profile; from lossnets.gradients.training.train import"
        " train_pgn; train_pgn('pixel:mse', PLACE, PLACE / 'n.safetensors', profile('smoke', backbone='shuffled',"
        " steps=2, log_every=1))"
    ),
    "figure": (
        "from lossnets import analysis; from lossnets.analysis import figures;"
        " figures.save_figure(figures.rank_figure(analysis.average_ranks(analysis.shipped_results())), PLACE / 'f.png')"
    ),
    "recommendation": "analysis.recommend(analysis.shipped_results(), 'super-resolution')",
    "report": (
        "from lossnets.report.build import build_report; build_report(analysis.shipped_results())"
    ),
    "command": (
        "from lossnets.cli.app import app; from typer.testing import CliRunner;"
        " CliRunner().invoke(app, ['networks', 'vgg1*'])"
    ),
}  # fmt: skip

_LOOP = """
def look():
    return {what: eval(expression) for what, expression in STATE.items()}

before, told, names = look(), {}, dict(globals())
for what, statements in ACTIONS.items():
    exec(statements, names)
    now = look()
    changed = {name: [str(before[name])[-300:], str(now[name])[-300:]] for name in before if now[name] != before[name]}
    if changed:
        told[what] = changed
    before = now
print("TOLD" + json.dumps(told))
"""

# what -> (what it changes, why that is meant)
MEANT: dict[tuple[str, str], str] = {}


@pytest.mark.slow
def test_nothing_of_the_process_is_changed(tmp_path: Path) -> None:
    code = f"{SETUP}\nSTATE = {STATE!r}\nACTIONS = {ACTIONS!r}\n{_LOOP}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.rpartition("TOLD")[2])
    left = {what: {k: v for k, v in found.items() if (what, k) not in MEANT} for what, found in told.items()}
    assert {what: found for what, found in left.items() if found} == {}
