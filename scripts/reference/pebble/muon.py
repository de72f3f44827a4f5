"""The optimiser: Muon (Jordan et al., 2024) for the blocks' matrices, Adam for the rest."""

import torch


def newton_schulz(g):
    """An approximate orthogonalisation of each matrix in a batch, in bf16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        m = x @ x.mT
        x = a * x + (b * m + c * m @ m) @ x
    return x


class Muon:
    """Muon on all matrices of the blocks, batched by shape; Adam on embedding and norms."""

    def __init__(self, model, compile_function):
        self.groups, norms = {}, []
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and name != "embed":
                tall = parameter.shape[0] > parameter.shape[1]
                shape = tuple(sorted(parameter.shape))
                self.groups.setdefault(shape, []).append((parameter, tall))
            elif name != "embed":
                norms.append(parameter)
        self.momenta = {}
        self.orthogonalise = compile_function(newton_schulz)
        self.adam = torch.optim.AdamW([
            {"params": [model.embed], "lr0": 1.5e-3, "weight_decay": 0.0},
            {"params": norms, "lr0": 2e-3, "weight_decay": 0.0},
        ], lr=1e-3, betas=(0.9, 0.95), fused=model.embed.is_cuda)

    def step(self, scale, momentum, lr=0.02, decay=0.01):
        """One update; `scale` is the schedule's factor on all learning rates."""
        for shape, group in self.groups.items():
            g = torch.stack([p.grad.mT if tall else p.grad for p, tall in group])
            if shape not in self.momenta:
                self.momenta[shape] = torch.zeros_like(g)
            self.momenta[shape].lerp_(g, 1 - momentum)
            updates = self.orthogonalise(g.lerp(self.momenta[shape], momentum)).float()
            for (p, tall), update in zip(group, updates.unbind(0)):
                update = update.mT if tall else update
                stretch = max(1, p.shape[0] / p.shape[1])**0.5
                p.data.mul_(1 - lr * scale * decay).add_(update, alpha=-lr * scale * stretch)
                p.grad = None
        for group in self.adam.param_groups:
            group["lr"] = group["lr0"] * scale
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
