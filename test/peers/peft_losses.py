"""`peft_losses.py MODEL ADAPTER IDS.json`: loss and entropy of every next token, as PEFT computes them from a saved adapter."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: nothing here comes from a hub

import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402


def main() -> None:
    model_folder, adapter_folder, ids_file = sys.argv[1:]
    torch.set_num_threads(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        base = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
        model = PeftModel.from_pretrained(base, adapter_folder).eval()
    # PEFT loads an adapter that does not fit its configuration with a warning.
    unfit = [str(warning.message) for warning in caught if "keys" in str(warning.message)]
    ids = torch.tensor([json.loads(Path(ids_file).read_text(encoding="utf-8"))])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1].double()
    log_probabilities = torch.log_softmax(logits, -1)
    losses = -log_probabilities.gather(1, ids[0, 1:, None])[:, 0]
    entropies = -(log_probabilities.exp() * log_probabilities).sum(-1)
    print(json.dumps({"unfit": unfit, "losses": losses.tolist(), "entropies": entropies.tolist()}))


if __name__ == "__main__":
    main()
