"""The model's threads give way: they alone would keep every core busy for milliseconds at a time."""

import os
import sys
import threading

NICENESS = 5


def give_way() -> None:
    """Lower the priority of this thread, and of the threads that it will start, below the process's others.

    An event loop that waits for a core while the model computes delays every event, and the model itself,
    which soon has nothing left to do. Where the model is alone it loses nothing. Only Linux has priorities
    by thread; elsewhere nothing is done.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
