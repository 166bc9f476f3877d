"""Fresh processes: functions called in a separate interpreter.

```python
from tfderain.benchmarks import fresh_process

memory = fresh_process.call(function, 1, 2)  # function(1, 2), in a fresh interpreter
```

For measurements that the state of this process would distort (memory), and for calls
into C that could crash with the wrong version of a library.
"""

import concurrent.futures
import multiprocessing


def call(function, *arguments):
    """Returns what `function(*arguments)` returns in a fresh interpreter.

    Args:
        function: a module-level function, so that the other process can find it.
        *arguments: picklable values; the result must be picklable too.

    Raises:
        Exception: whatever the function raises.
        concurrent.futures.process.BrokenProcessPool: the process was killed.
    """
    # Spawned: a forked process would start with the memory and threads of this one.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
