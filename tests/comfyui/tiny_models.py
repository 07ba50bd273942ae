#!/usr/bin/env python3
"""Writes tiny models with random weights, so that captured requests that name them run on a real ComfyUI without a GPU.

    python tiny_models.py MODELS_FOLDER

An upscale model (SRVGGNetCompact, 4x) and control nets (SD1.5's, with as few blocks as a checkpoint of one level has) under
the names that the requests and the built-in catalogue use. Needs numpy, safetensors and torch, as ComfyUI does. What they
paint is noise; what they prove is that graphs load them, run, and change pixels.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

UPSCALER = "4x_NMKD-Superscale-SP_178000_G.pth"
CONTROL_NETS = ["control_v11p_sd15_inpaint_fp16.safetensors", "control_v11f1e_sd15_tile_fp16.safetensors"]
CHANNELS, TIME, CONTEXT = 320, 1280, 768

random = np.random.default_rng(1)


def noise(shape, gain=1.0):
    return (random.standard_normal(shape, np.float32) * gain / math.sqrt(math.prod(shape[1:]))).astype(np.float16)


def control_net():
    """SD1.5's control net with one residual block and one transformer, a middle block, and zero convolutions that are not zero."""
    tensors = {}

    def conv(name, out, into, size):
        tensors[f"{name}.weight"] = noise((out, into, size, size))
        tensors[f"{name}.bias"] = np.zeros(out, np.float16)

    def linear(name, out, into, bias=True):
        tensors[f"{name}.weight"] = noise((out, into))
        if bias:
            tensors[f"{name}.bias"] = np.zeros(out, np.float16)

    def norm(name):
        tensors[f"{name}.weight"] = np.ones(CHANNELS, np.float16)
        tensors[f"{name}.bias"] = np.zeros(CHANNELS, np.float16)

    def residual(name):
        norm(f"{name}.in_layers.0")
        conv(f"{name}.in_layers.2", CHANNELS, CHANNELS, 3)
        linear(f"{name}.emb_layers.1", CHANNELS, TIME)
        norm(f"{name}.out_layers.0")
        conv(f"{name}.out_layers.3", CHANNELS, CHANNELS, 3)

    def transformer(name):
        norm(f"{name}.norm")
        conv(f"{name}.proj_in", CHANNELS, CHANNELS, 1)
        block = f"{name}.transformer_blocks.0"
        for attention, width in (("attn1", CHANNELS), ("attn2", CONTEXT)):
            linear(f"{block}.{attention}.to_q", CHANNELS, CHANNELS, False)
            linear(f"{block}.{attention}.to_k", CHANNELS, width, False)
            linear(f"{block}.{attention}.to_v", CHANNELS, width, False)
            linear(f"{block}.{attention}.to_out.0", CHANNELS, CHANNELS)
        linear(f"{block}.ff.net.0.proj", CHANNELS * 8, CHANNELS)
        linear(f"{block}.ff.net.2", CHANNELS, CHANNELS * 4)
        for index in (1, 2, 3):
            norm(f"{block}.norm{index}")
        conv(f"{name}.proj_out", CHANNELS, CHANNELS, 1)

    linear("time_embed.0", TIME, CHANNELS)
    linear("time_embed.2", TIME, TIME)
    conv("input_blocks.0.0", CHANNELS, 4, 3)
    residual("input_blocks.1.0")
    transformer("input_blocks.1.1")
    residual("middle_block.0")
    transformer("middle_block.1")
    residual("middle_block.2")
    hints = [3, 16, 16, 32, 32, 96, 96, 256, CHANNELS]
    for index, (into, out) in enumerate(zip(hints, hints[1:])):
        conv(f"input_hint_block.{2 * index}", out, into, 3)
    for name in ("zero_convs.0.0", "zero_convs.1.0", "middle_block_out.0"):
        conv(name, CHANNELS, CHANNELS, 1)
    return {f"control_model.{name}": tensor for name, tensor in tensors.items()}


def upscaler(features=8, scale=4):
    """SRVGGNetCompact without a hidden layer: the picture enlarged, plus noise that depends on it."""
    out = 3 * scale * scale
    tensors = {
        "body.0.weight": noise((features, 3, 3, 3)),
        "body.0.bias": np.zeros(features),
        "body.1.weight": np.full(features, 0.2),
        "body.2.weight": noise((out, features, 3, 3), 0.1),
        "body.2.bias": np.zeros(out),
    }
    return {name: torch.from_numpy(np.float32(tensor)) for name, tensor in tensors.items()}


def main():
    models = Path(sys.argv[1])
    for folder in ("upscale_models", "controlnet"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    torch.save(upscaler(), models / "upscale_models" / UPSCALER)
    for name in CONTROL_NETS:
        save_file(control_net(), models / "controlnet" / name)


if __name__ == "__main__":
    main()
