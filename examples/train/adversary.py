"""An adversary for the codec's decoder: it tells music from its reconstruction, at three resolutions of the spectrogram.

Sources: A. Défossez et al., "High fidelity neural audio compression" (2022), §3.4: complex-spectrogram discriminators, feature
matching, and gradients balanced at the output, so that the adversary's share does not depend on its scale. J. H. Lim, J. C. Ye,
"Geometric GAN" (2017) for the hinge. Without it a distance of logarithms makes the decoder answer every doubt with a mean: noise
that breathes with the frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import half
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class Judge(nn.Module):
    """Two-dimensional convolutions over real and imaginary parts, wide in frequency, dilated in time."""

    def __init__(self, window: int, width: int = 24):
        super().__init__()
        self.window = window
        self.layers = nn.ModuleList(
            [weight_norm(nn.Conv2d(2, width, (3, 9), padding=(1, 4)))]
            + [weight_norm(nn.Conv2d(width, width, (3, 9), stride=(1, 2), dilation=(d, 1), padding=(d, 4))) for d in (1, 2, 4)]
        )
        self.out = weight_norm(nn.Conv2d(width, 1, (3, 3), padding=1))

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        hann = torch.hann_window(self.window, device=audio.device)
        z = torch.stft(audio, self.window, self.window // 4, window=hann, return_complex=True, pad_mode="constant") / hann.square().sum().sqrt()
        # the square root of the magnitude: quiet partials count too
        z = z / (z.abs() + 1e-3).sqrt()
        with half():
            x, seen = torch.stack([z.real, z.imag], 1).transpose(2, 3), []
            for layer in self.layers:
                x = F.leaky_relu(layer(x), 0.2)
                seen.append(x)
            return self.out(x).float(), seen


class Adversary(nn.Module):
    def __init__(self, lr: float, windows: tuple[int, ...] = (256, 512, 1024)):
        super().__init__()
        self.judges = nn.ModuleList(Judge(w) for w in windows)
        self.lr, self.optimiser, self.steps = lr, None, 0

    def learn(self, real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """One step of the judges; the hinge loss, 2 where they know nothing."""
        if self.optimiser is None:
            self.optimiser = torch.optim.AdamW(self.parameters(), lr=self.lr, betas=(0.5, 0.9))
        loss = sum(F.relu(1 - judge(real)[0]).mean() + F.relu(1 + judge(made)[0]).mean() for judge in self.judges) / len(self.judges)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        return loss.detach()

    def gradient(self, real: torch.Tensor, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How `made` (batch, samples) should change, by judgement and by matched features (one gradient each, at equal weight), and
        the judgement."""
        here = made.detach().requires_grad_()
        judged = matched = 0.0
        for judge in self.judges:
            with torch.no_grad():
                _, wanted = judge(real)
            verdict, seen = judge(here)
            judged = judged - verdict.mean()
            matched = matched + sum((a - b).abs().mean() / b.abs().mean().clamp(min=1e-3) for a, b in zip(seen, wanted, strict=True))
        (a,) = torch.autograd.grad(judged, here, retain_graph=True)
        (b,) = torch.autograd.grad(matched, here)
        return a / a.norm().clamp(min=1e-12) + b / b.norm().clamp(min=1e-12), judged.detach() / len(self.judges)
