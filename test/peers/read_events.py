"""What TensorBoard reads in a folder of events: `read_events.py FOLDER`, scalars by tag as JSON on standard output."""

from __future__ import annotations

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
json.dump(
    {tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]},
    sys.stdout,
)
