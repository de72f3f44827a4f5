"""The model: a Qwen3-type decoder over packed documents, and its files."""

import json
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

if torch.cuda.is_available():
    from torch.nn.attention.varlen import varlen_attn

CONFIG = dict(hidden=512, layers=8, heads=8, kv=2, hd=64, inter=1024, vocab=4096,
              theta=100000.0, eps=1e-6, ctx=8192)
TINY = dict(CONFIG, hidden=64, layers=2, heads=2, kv=1, hd=32, inter=128)

# Parameters of a block under their names in Qwen3 checkpoints.
NAMES = [("q", "self_attn.q_proj"), ("k", "self_attn.k_proj"), ("v", "self_attn.v_proj"),
         ("o", "self_attn.o_proj"), ("gate", "mlp.gate_proj"), ("up", "mlp.up_proj"),
         ("down", "mlp.down_proj"), ("n1", "input_layernorm"),
         ("n2", "post_attention_layernorm"), ("qn", "self_attn.q_norm"),
         ("kn", "self_attn.k_norm")]


def rms(x, weight, eps):
    """RMS norm over the last dimension, computed in f32."""
    y = x.float()
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * weight.to(x.dtype)


def rope(x, cos, sin):
    """Rotary embedding of x, (tokens, heads, head_dim), its halves being the pairs."""
    a, b = x.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


def linear(x, weight):
    """x times the transposed weight, (out, in), in the type of x."""
    return F.linear(x, weight.to(x.dtype))


def attend(q, k, v, bounds, max_len):
    """Causal attention inside each document; q, k, v are (tokens, heads, head_dim)."""
    if q.is_cuda:
        return varlen_attn(q, k, v, bounds, bounds, max_len, max_len, window_size=(-1, 0))
    outs, ends = [], bounds.tolist()
    for start, end in zip(ends[:-1], ends[1:]):
        if end > start:
            heads_first = [z[start:end].transpose(0, 1)[None] for z in (q, k, v)]
            out = F.scaled_dot_product_attention(*heads_first, is_causal=True)
            outs.append(out[0].transpose(0, 1))
    return torch.cat(outs)


class Block(nn.Module):
    """Attention and feed-forward layer, each behind a norm and added to its input."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        h, inter = cfg["hidden"], cfg["inter"]
        q_size, kv_size = cfg["heads"] * cfg["hd"], cfg["kv"] * cfg["hd"]
        self.q, self.k, self.v = matrix(q_size, h), matrix(kv_size, h), matrix(kv_size, h)
        self.o = nn.Parameter(torch.zeros(h, q_size))
        self.gate, self.up = matrix(inter, h), matrix(inter, h)
        self.down = nn.Parameter(torch.zeros(h, inter))
        self.n1, self.n2 = nn.Parameter(torch.ones(h)), nn.Parameter(torch.ones(h))
        self.qn = nn.Parameter(torch.full((cfg["hd"], ), 1.2))
        self.kn = nn.Parameter(torch.full((cfg["hd"], ), 1.2))

    def forward(self, x, cos, sin, bounds, max_len: int):
        """x is (tokens, hidden)."""
        tokens, eps = x.shape[0], self.cfg["eps"]
        heads, kv, hd = self.cfg["heads"], self.cfg["kv"], self.cfg["hd"]
        h = rms(x, self.n1, eps)
        q = rope(rms(linear(h, self.q).view(tokens, heads, hd), self.qn, eps), cos, sin)
        k = rope(rms(linear(h, self.k).view(tokens, kv, hd), self.kn, eps), cos, sin)
        v = linear(h, self.v).view(tokens, kv, hd)
        k, v = k.repeat_interleave(heads // kv, 1), v.repeat_interleave(heads // kv, 1)
        x = x + linear(attend(q, k, v, bounds, max_len).reshape(tokens, heads * hd), self.o)
        h = rms(x, self.n2, eps)
        return x + linear(F.silu(linear(h, self.gate)) * linear(h, self.up), self.down)


class Decoder(nn.Module):
    """Embedding, blocks, final norm; the embedding is also the output matrix."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Parameter(torch.randn(cfg["vocab"], cfg["hidden"]) * 0.02)
        self.blocks = nn.ModuleList([Block(cfg) for _ in range(cfg["layers"])])
        self.norm = nn.Parameter(torch.ones(cfg["hidden"]))
        frequencies = 1.0 / cfg["theta"]**(torch.arange(0, cfg["hd"], 2).float() / cfg["hd"])
        angles = torch.arange(cfg["ctx"]).float()[:, None] * frequencies
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def trunk(self, ids, positions, bounds, max_len):
        """Hidden states, (tokens, hidden), before the final norm."""
        x = F.embedding(ids, self.embed)
        x = x.to(torch.bfloat16 if self.embed.is_cuda else torch.float32)
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        for block in self.blocks:
            x = block(x, cos, sin, bounds, max_len)
        return x

    def loss(self, x, targets, weights):
        """Weighted mean loss, loss of each token, and the likeliest token at each place."""
        normed = rms(x, self.norm, self.cfg["eps"])
        logits = F.linear(normed, self.embed.to(x.dtype)).float()
        losses = F.cross_entropy(logits, targets, reduction="none")
        return (losses * weights).sum() / weights.sum(), losses, logits.argmax(-1)

    def checkpoint(self):
        """Parameters under the names that Qwen3 checkpoints have."""
        out = {"model.embed_tokens.weight": self.embed, "model.norm.weight": self.norm}
        for i, block in enumerate(self.blocks):
            for name, stored in NAMES:
                out[f"model.layers.{i}.{stored}.weight"] = getattr(block, name)
        return out

    def load(self, folder):
        """Takes over the weights of a checkpoint."""
        stored = load_file(f"{folder}/model.safetensors")
        for name, parameter in self.checkpoint().items():
            parameter.data.copy_(stored[name])

    def save(self, folder):
        """Writes the weights in bf16, and the configuration files."""
        os.makedirs(folder, exist_ok=True)
        tensors = {
            name: parameter.detach().to(torch.bfloat16).cpu().contiguous()
            for name, parameter in self.checkpoint().items()
        }
        save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
        with open(f"{folder}/config.json", "w") as file:
            json.dump(qwen3_config(self.cfg), file, indent=1)
        generation = {
            "do_sample": False,
            "eos_token_id": [2, 0],
            "pad_token_id": 0,
            "max_new_tokens": 512
        }
        with open(f"{folder}/generation_config.json", "w") as file:
            json.dump(generation, file, indent=1)


def build(cfg, device):
    """A model with fixed initial weights."""
    torch.manual_seed(1)
    return Decoder(cfg).to(device)


def matrix(rows, columns):
    """A weight matrix with random values."""
    return nn.Parameter(torch.randn(rows, columns) * (0.5 / columns**0.5))


def qwen3_config(cfg):
    """The configuration as transformers has it."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": cfg["vocab"],
        "hidden_size": cfg["hidden"],
        "intermediate_size": cfg["inter"],
        "num_hidden_layers": cfg["layers"],
        "num_attention_heads": cfg["heads"],
        "num_key_value_heads": cfg["kv"],
        "head_dim": cfg["hd"],
        "hidden_act": "silu",
        "max_position_embeddings": cfg["ctx"],
        "rms_norm_eps": cfg["eps"],
        "rope_theta": cfg["theta"],
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_cache": True,
        "use_sliding_window": False,
        "sliding_window": None,
        "max_window_layers": cfg["layers"],
        "initializer_range": 0.02,
        "torch_dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0
    }
