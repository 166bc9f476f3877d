"""Fresh processes: functions called in an interpreter of their own.

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
        function: a function of a module, by which the other process finds it.
        *arguments: what can be pickled; the result must be, too.

    Raises:
        Exception: whatever the function raises.
        concurrent.futures.process.BrokenProcessPool: the process was killed.
    """
    # Spawned: a forked process would begin with the memory and threads of this one.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
