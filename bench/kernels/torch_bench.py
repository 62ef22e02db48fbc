#!/usr/bin/env python3
"""What PyTorch computes in the place of our CUDA kernels, timed the same way: int4 weight-only and float16 matmul,
scaled_dot_product_attention, and the decoding of a 7B shape by eager float16 modules. Prints one JSON object in the
form of cuda_matmul_bench --json.

usage: torch_bench.py [--trial]   (--trial: tiny shapes, on the CPU where there is no GPU)

As in our benches, weights and caches of 512 MB are gone through in turn, so that they come from memory, and the work
is replayed as a CUDA graph, so that launches from Python do not show; the decoding is eager on purpose, as most
programs run it.
"""

import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(f"expected PyTorch but {error}", file=sys.stderr)
    sys.exit(3)

TRIAL = "--trial" in sys.argv
GPU = torch.cuda.is_available()
if not GPU and not TRIAL:
    print("expected a GPU that PyTorch can use but there is none", file=sys.stderr)
    sys.exit(3)
DEVICE = "cuda" if GPU else "cpu"
MIN_BYTES = 1 << 16 if TRIAL else 512 << 20
REPEATS = 2 if TRIAL else 15
ROW_COUNTS = [1, 8] if TRIAL else [1, 2, 4, 8, 16, 64, 512]
GROUP = 32
SHAPES = [(64, 256)] if TRIAL else [(4096, 4096), (11008, 4096), (4096, 11008), (28672, 4096), (4096, 14336), (8192, 8192)]
# name, KV heads, query heads per KV head, head width, sequences, rows of each, depth: those of cuda_attention_bench.
CASES = [
    ("8B decode", 8, 4, 128, 1, 1, 8192),
    ("8B decode x 4", 8, 4, 128, 4, 1, 8192),
    ("8B decode x 16", 8, 4, 128, 16, 1, 2048),
    ("8B verify 8", 8, 4, 128, 1, 8, 8192),
    ("8B short", 8, 4, 128, 1, 1, 1024),
    ("7B decode", 32, 1, 128, 1, 1, 8192),
    ("1B decode", 8, 4, 64, 1, 1, 8192),
    ("8B prefill 512", 8, 4, 128, 1, 512, 4096),
]
if TRIAL:
    CASES = [("decode", 2, 2, 32, 1, 1, 64)]


def median_seconds(work, count):
    """Median seconds of one of the `count` pieces of work() does; work() only queues."""
    if not GPU:
        times = []
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:]) / count
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    times = []
    for repeat in range(-2, REPEATS):  # two to warm up
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        if repeat >= 0:
            times.append(start.elapsed_time(end) * 1e-3)
    return statistics.median(times) / count


def matmul_result(kind, outputs, k, rows, seconds, weight_bytes):
    return {
        "bench": "matmul",
        "kind": kind,
        "outputs": outputs,
        "k": k,
        "rows": rows,
        "micros": seconds * 1e6,
        "gbps": weight_bytes * 1e-9 / seconds,
        "tflops": 2e-12 * outputs * k * rows / seconds,
    }


def float16_matmul(outputs, k):
    weight_bytes = outputs * k * 2
    copies = max(1, MIN_BYTES // weight_bytes)
    dtype = torch.float16 if GPU else torch.float32
    weights = [torch.randn(outputs, k, device=DEVICE, dtype=dtype) * 0.02 for _ in range(copies)]
    for rows in ROW_COUNTS:
        x = torch.randn(rows, k, device=DEVICE, dtype=dtype)
        seconds = median_seconds(lambda: [F.linear(x, weight) for weight in weights], copies)
        yield matmul_result("f16", outputs, k, rows, seconds, weight_bytes)


def int4_matmul(outputs, k):
    """torch.ops.aten._weight_int4pack_mm: bfloat16 activations, groups of 32 weights with a scale and a zero."""
    weight_bytes = outputs * k // 2 + outputs * (k // GROUP) * 4
    copies = max(1, MIN_BYTES // weight_bytes)
    packed = []
    for _ in range(copies):
        pairs = torch.randint(0, 256, (outputs, k // 2), device=DEVICE, dtype=torch.uint8)
        packed.append(torch.ops.aten._convert_weight_to_int4pack(pairs, 8))
    scales = torch.full((k // GROUP, outputs, 2), 0.01, device=DEVICE, dtype=torch.bfloat16)
    for rows in ROW_COUNTS:
        x = torch.randn(rows, k, device=DEVICE, dtype=torch.bfloat16)
        multiply = torch.ops.aten._weight_int4pack_mm
        seconds = median_seconds(lambda: [multiply(x, weight, GROUP, scales) for weight in packed], copies)
        yield matmul_result("int4", outputs, k, rows, seconds, weight_bytes)


def attention(name, kv_heads, heads_per_kv, width, sequences, rows, depth):
    dtype = torch.float16 if GPU else torch.float32
    cache_bytes = 2 * sequences * kv_heads * depth * width * 2
    copies = max(1, MIN_BYTES // cache_bytes)
    shape = (sequences, kv_heads, depth, width)
    caches = [[torch.randn(shape, device=DEVICE, dtype=dtype) for _ in range(2)] for _ in range(copies)]
    queries = torch.randn(sequences, kv_heads * heads_per_kv, rows, width, device=DEVICE, dtype=dtype)
    mask = None
    if rows > 1:
        mask = torch.ones(rows, depth, device=DEVICE, dtype=torch.bool).tril(depth - rows)

    def work():
        for keys, values in caches:
            F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, enable_gqa=True)

    seconds = median_seconds(work, copies)
    return {
        "bench": "attention",
        "case": name,
        "kv": "f16",
        "depth": depth,
        "rows": sequences * rows,
        "micros": seconds * 1e6,
        "gbps": cache_bytes * 1e-9 / seconds,
        "tflops": 4e-12 * width * kv_heads * heads_per_kv * sequences * rows * (depth - 0.5 * (rows - 1)) / seconds,
    }


class Decoder:
    """A Llama-like decoder of the shape `7b` of bench/models/shapes.ts, random weights, one sequence."""

    def __init__(self):
        self.layers, self.width, self.heads, self.kv_heads = (2, 64, 4, 2) if TRIAL else (32, 4096, 32, 8)
        self.feed_forward, self.vocabulary, self.room = (128, 100, 32) if TRIAL else (14336, 4096, 256)
        self.head_width = self.width // self.heads
        self.dtype = torch.float16 if GPU else torch.float32
        kv_width = self.kv_heads * self.head_width
        sizes = {
            "q": (self.width, self.width),
            "k": (kv_width, self.width),
            "v": (kv_width, self.width),
            "o": (self.width, self.width),
            "gate": (self.feed_forward, self.width),
            "up": (self.feed_forward, self.width),
            "down": (self.width, self.feed_forward),
        }
        self.weights = [{name: self.random(*size) for name, size in sizes.items()} for _ in range(self.layers)]
        self.embedding = self.random(self.vocabulary, self.width)
        self.output = self.random(self.vocabulary, self.width)
        self.norm = torch.ones(self.width, device=DEVICE, dtype=self.dtype)
        cache = (1, self.kv_heads, self.room, self.head_width)
        self.caches = [[self.random(*cache), self.random(*cache)] for _ in range(self.layers)]
        frequencies = 10000.0 ** (-torch.arange(0, self.head_width, 2, device=DEVICE) / self.head_width)
        angles = torch.arange(self.room, device=DEVICE)[:, None] * frequencies
        self.cosines = torch.cat([angles.cos()] * 2, -1).to(self.dtype)
        self.sines = torch.cat([angles.sin()] * 2, -1).to(self.dtype)

    def random(self, *shape):
        return torch.randn(*shape, device=DEVICE, dtype=self.dtype) * 0.02

    def rotate(self, x, position):
        half = x.shape[-1] // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * self.cosines[position] + turned * self.sines[position]

    def step(self, token, position):
        x = self.embedding[token]
        for weights, (keys, values) in zip(self.weights, self.caches):
            h = F.rms_norm(x, (self.width,), self.norm)
            heads = (1, -1, 1, self.head_width)
            q = self.rotate(F.linear(h, weights["q"]).view(heads), position)
            keys[:, :, position] = self.rotate(F.linear(h, weights["k"]).view(heads), position)[:, :, 0]
            values[:, :, position] = F.linear(h, weights["v"]).view(heads)[:, :, 0]
            seen = (keys[:, :, : position + 1], values[:, :, : position + 1])
            attended = F.scaled_dot_product_attention(q, *seen, enable_gqa=True)
            x = x + F.linear(attended.reshape(1, self.width), weights["o"])
            h = F.rms_norm(x, (self.width,), self.norm)
            x = x + F.linear(F.silu(F.linear(h, weights["gate"])) * F.linear(h, weights["up"]), weights["down"])
        return F.linear(F.rms_norm(x, (self.width,), self.norm), self.output).argmax(-1)


def decode():
    """Milliseconds a token of eager decoding from depth 0, as `air bench` measures it."""
    model = Decoder()
    token = torch.zeros(1, device=DEVICE, dtype=torch.long)
    steps, seconds = (4 if TRIAL else 64), []
    for step in range(-4, steps):  # four to warm up
        start = time.perf_counter()
        token = model.step(token, max(step, 0))
        token.item()  # a program looks at each token
        if step >= 0:
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    weight_bytes = 2 * (sum(w.numel() for layer in model.weights for w in layer.values()) + model.output.numel())
    return {"bench": "decode", "micros": median * 1e6, "gbps": weight_bytes * 1e-9 / median}


def main():
    results, failures = [], []

    def collect(name, make):
        """What a version of PyTorch cannot compute is named, and leaves the rest."""
        try:
            made = make()
            results.extend([made] if isinstance(made, dict) else list(made))
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {str(error)[:160]}")
        if GPU:
            torch.cuda.empty_cache()

    with torch.inference_mode():
        for outputs, k in SHAPES:
            collect(f"float16 {outputs} x {k}", lambda: float16_matmul(outputs, k))
            collect(f"int4 {outputs} x {k}", lambda: int4_matmul(outputs, k))
        for case in CASES:
            collect(case[0], lambda: attention(*case))
        collect("decode", decode)
    device = torch.cuda.get_device_name() if GPU else "CPU"
    print(json.dumps({"bench": "torch", "device": device, "torch": torch.__version__, "results": results, "failures": failures}))
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
