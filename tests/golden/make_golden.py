#!/usr/bin/env python3
"""Runs small U-Nets in PyTorch and writes their results and trained weights to safetensors files.

usage: make_golden.py FOLDER        (test_unet_golden reads the files beside this script; needs PyTorch and NumPy)

Each file is about one network of the paper's family, described by its settings (metadata "settings": one key=value per
line). It contains

  input [N,D,H,W,C], label u8 [N,d,h,w], class_weight [K]        the inputs, in the layout of u3d
  logits [N,d,h,w,K]                                             with the initial weights, in training mode
  probability [N,d,h,w,K]                                        with the weights after SGD, in inference mode
  loss_ce, loss_sum [1]                                          weighted cross entropy; the same plus soft Dice
  init/NAME, grad_ce/NAME, grad_sum/NAME                         initial weights and the gradients of both losses
  adam/NAME                                                      weights after five steps of Adam on the cross entropy
  sgd/NAME                                                       weights after five steps of Nesterov SGD on the sum

Weights and gradients have the axis order of PyTorch. Everything is computed in float64 from numbers that float32 can
represent exactly, so that a difference is an error of u3d.
"""
import json
import os
import struct
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

# With this seed no activation has different signs in float32 and float64: after the five steps, the weights that
# PyTorch computes in float32 differ from these by at most 3.5e-5 with Adam and 1.1e-4 with SGD. If the sign of an
# activation differed, Adam would turn that into a difference of 1e-2.
SEED = 1
STEPS, ADAM_LR, SGD_LR, MOMENTUM, IGNORE, SMOOTH, SLOPE = 5, 1e-3, 1e-2, 0.9, 255, 1e-5, 0.01

VARIANTS = {  # sizes and kernels z, y, x
    "valid_plain": dict(levels=2, base=2, channels=1, labels=2, batch=1, norm="none", padding="valid", double="before-pool",
                        activation="relu", size=(18, 18, 22), kernel=[(3, 3, 3)] * 2, pool=[(2, 2, 2)], skip_background=True),
    "valid_batch": dict(levels=2, base=3, channels=2, labels=3, batch=2, norm="batch", padding="valid", double="before-pool",
                        activation="relu", size=(18, 20, 18), kernel=[(3, 3, 3)] * 2, pool=[(2, 2, 2)], skip_background=False),
    "same_instance": dict(levels=3, base=3, channels=1, labels=4, batch=2, norm="instance", padding="same", double="at-start",
                          activation="leaky", size=(4, 8, 12), kernel=[(1, 3, 3), (3, 3, 3), (3, 3, 3)],
                          pool=[(1, 2, 2), (2, 2, 2)], skip_background=True),
}


class Block(nn.Module):
    def __init__(self, v, level, ci, mid, co):
        super().__init__()
        self.v = v
        kernel = v["kernel"][level]
        pad = tuple(k // 2 for k in kernel) if v["padding"] == "same" else 0
        norm = {"batch": nn.BatchNorm3d, "instance": lambda c: nn.InstanceNorm3d(c, affine=True)}.get(v["norm"])
        for i, (a, b) in enumerate([(ci, mid), (mid, co)], 1):
            setattr(self, f"conv{i}", nn.Conv3d(a, b, kernel, padding=pad))
            if norm:
                setattr(self, f"norm{i}", norm(b))

    def convs(self, x):
        for i in (1, 2):
            x = getattr(self, f"conv{i}")(x)
            x = getattr(self, f"norm{i}")(x) if self.v["norm"] != "none" else x
            x = F.leaky_relu(x, SLOPE if self.v["activation"] == "leaky" else 0.0)
        return x


class UNet(nn.Module):
    def __init__(self, v):
        super().__init__()
        self.v, levels, b, early = v, v["levels"], v["base"], v["double"] == "at-start"
        out = [b * 2 ** (l if early else l + 1) for l in range(levels)]
        mid = [b * 2 ** l for l in range(levels)]
        for l in range(levels):
            setattr(self, f"enc{l}", Block(v, l, v["channels"] if l == 0 else out[l - 1], mid[l], out[l]))
        for l in reversed(range(levels - 1)):
            up = out[l] if early else out[l + 1]
            block = Block(v, l, up + out[l], out[l], out[l])
            block.up = nn.ConvTranspose3d(out[l + 1], up, v["pool"][l], v["pool"][l], bias=False)
            setattr(self, f"dec{l}", block)
        self.head = nn.Conv3d(out[0], v["labels"], 1)

    def forward(self, x):
        skips, levels = [], self.v["levels"]
        for l in range(levels):
            x = getattr(self, f"enc{l}").convs(x if l == 0 else F.max_pool3d(x, self.v["pool"][l - 1]))
            skips.append(x)
        for l in reversed(range(levels - 1)):
            block = getattr(self, f"dec{l}")
            x = block.up(x)
            s = skips[l]
            o = [(i - j) // 2 for i, j in zip(s.shape[2:], x.shape[2:])]
            s = s[:, :, o[0]:o[0] + x.shape[2], o[1]:o[1] + x.shape[3], o[2]:o[2] + x.shape[4]]
            x = block.convs(torch.cat([x, s], 1))
        return self.head(x)


def dice_loss(logits, label, weight, skip_background):
    """Soft Dice as defined in engine/ops/op.h: over the whole batch, counting only voxels with a positive weight."""
    k = logits.shape[1]
    p = logits.softmax(1).movedim(1, -1).reshape(-1, k)
    flat = label.reshape(-1)
    counts = (flat != IGNORE) & (weight[flat.clamp(max=k - 1)] > 0)
    p, g = p[counts], F.one_hot(flat[counts], k).to(p.dtype)
    score = (2 * (p * g).sum(0) + SMOOTH) / (p.sum(0) + g.sum(0) + SMOOTH)
    return 1 - score[1 if skip_background else 0:].mean()


def weights_of(net):
    """Parameters under u3d's names; the running statistics of each norm become one tensor [2, C]."""
    found = {name: p.detach().clone() for name, p in net.named_parameters()}
    for name, m in net.named_modules():
        if isinstance(m, nn.BatchNorm3d):
            found[name + ".running"] = torch.stack([m.running_mean, m.running_var]).clone()
    return found


def load(net, weights):
    for name, p in net.named_parameters():
        p.data.copy_(weights[name])
        p.grad = None
    for name, m in net.named_modules():
        if isinstance(m, nn.BatchNorm3d):
            m.running_mean.copy_(weights[name + ".running"][0])
            m.running_var.copy_(weights[name + ".running"][1])


def settings(v):
    def axes(zyx):
        return "x".join(str(i) for i in reversed(zyx))
    keys = {k: v[k] for k in ("levels", "base", "channels", "labels", "batch", "norm", "padding", "double", "activation")}
    keys.update(convs=2, max_width=0, leaky_slope=SLOPE, norm_momentum=0.1, norm_eps=1e-5,
                norm_statistics="running" if v["norm"] == "batch" else "tile",
                kernel=",".join(map(axes, v["kernel"])), pool=",".join(map(axes, v["pool"])), patch=axes(v["size"]))
    return "".join(f"{k}={value}\n" for k, value in keys.items())


def make(v):
    net = UNet(v)
    with torch.no_grad():
        for name, p in net.named_parameters():  # weights of exactly 0 or 1 would hide a missing bias or gain
            p.copy_((p + 0.1 * torch.randn_like(p)).float())
    channels_last = lambda t: t.detach().movedim(1, -1)
    x = torch.randn(v["batch"], v["channels"], *v["size"]).float().double()
    shape = net(x).shape
    net_init = weights_of(net)
    for name in net_init:
        if name.endswith(".running"):
            net_init[name] = torch.stack([torch.zeros_like(net_init[name][0]), torch.ones_like(net_init[name][1])])
    load(net, net_init)
    label = torch.randint(0, v["labels"], (shape[0],) + tuple(shape[2:]))
    label[torch.rand(label.shape) < 0.3] = IGNORE
    weight = torch.tensor([0.5, 1.0, 2.0, 1.5][:v["labels"]])

    def ce(logits):
        return F.cross_entropy(logits, label, weight=weight, ignore_index=IGNORE)

    def both(logits):
        return ce(logits) + dice_loss(logits, label, weight, v["skip_background"])

    out = {"input": channels_last(x), "label": label.to(torch.uint8), "class_weight": weight,
           "logits": channels_last(net(x))}
    for kind, loss_of in (("ce", ce), ("sum", both)):
        load(net, net_init)
        loss = loss_of(net(x))
        loss.backward()
        out["loss_" + kind] = loss.detach().reshape(1)
        out.update({f"grad_{kind}/{name}": p.grad.clone() for name, p in net.named_parameters()})
    runs = (("adam", ce, lambda p: torch.optim.Adam(p, lr=ADAM_LR)),
            ("sgd", both, lambda p: torch.optim.SGD(p, lr=SGD_LR, momentum=MOMENTUM, nesterov=True)))
    for kind, loss_of, optimizer in runs:
        load(net, net_init)
        o = optimizer(net.parameters())
        for _ in range(STEPS):
            o.zero_grad()
            loss_of(net(x)).backward()
            o.step()
        out.update({f"{kind}/{name}": p for name, p in weights_of(net).items()})
    net.eval()
    out["probability"] = channels_last(net(x).softmax(1))
    out.update({f"init/{name}": p for name, p in net_init.items()})
    return out


def write(path, tensors, meta):
    header, blobs, at = {"__metadata__": meta}, [], 0
    for name in sorted(tensors):
        t = tensors[name].contiguous()
        dtype = "U8" if t.dtype == torch.uint8 else "F32"
        blob = (t if dtype == "U8" else t.float()).numpy().tobytes()
        header[name] = {"dtype": dtype, "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


for variant, v in VARIANTS.items():
    torch.manual_seed(SEED)
    path = os.path.join(sys.argv[1], variant + ".safetensors")
    hyper = dict(steps=str(STEPS), adam_lr=str(ADAM_LR), sgd_lr=str(SGD_LR), momentum=str(MOMENTUM))
    write(path, make(v), dict(settings=settings(v), skip_background=str(int(v["skip_background"])), torch=torch.__version__, **hyper))
    print(path, os.path.getsize(path), "bytes")
