"""PSNR and SSIM under five named protocols, as functions and as Keras metrics.

```python
metrics.psnr(derained, clean, "matlab_y_float")  # NumPy, float64, one value per image
model.compile("adam", metrics=[metrics.PSNR(), metrics.SSIM("rgb_gaussian")])
```

| protocol           | channel and its range           | SSIM window               |
|--------------------|---------------------------------|---------------------------|
| `matlab_y_uint8`   | Y 16..235, rounded to uint8     | Gaussian 11x11, sigma 1.5 |
| `matlab_y_float`   | Y 16..235, not rounded          | the same, scaled down     |
| `rainmer_y_float`  | Y 16..235, not rounded          | the same, in blocks       |
| `opencv_y_uniform` | Y 0..255 (JPEG luma), rounded   | uniform 7x7, sample cov.  |
| `rgb_gaussian`     | R, G, B 0..255                  | Gaussian 11x11, sigma 1.5 |

`matlab_y_uint8` is `evaluate_PSNR_SSIM.m` of Restormer, MPRNet and MSPFN;
`matlab_y_float` is `statistic/*.m` of PReNet and RCDNet, where images are averaged down
by `max(1, round(shorter side / 256))` before SSIM; `rainmer_y_float` is `evaluation.py`
of Rainmer and CoIC, where halves are rounded to even and blocks averaged (their script
scores images that are not rounded to 8 bits); `opencv_y_uniform` is the raindrop
convention (AGAN); `rgb_gaussian` is scikit-image with `gaussian_weights` (GT-RAIN).
Peak 255, K1 0.01, K2 0.03 and windows wholly inside the image hold for all. Because
MATLAB's luma spans 219 grey levels, its PSNR is 1.32 dB above that of full-range luma:
scores under different protocols cannot be compared.

Scores are those of saved 8-bit files: float images are clipped to [0, 1] and rounded to
0..255 first, in every protocol. A perfect image scores `PSNR_CAP` dB, not infinity.

Reference: Wang et al., 2004, Image Quality Assessment: From Error Visibility to
Structural Similarity, eq. 13; https://doi.org/10.1109/TIP.2003.819861
"""

from tfderain import lazy

# Scoring files with the functions never imports Keras or its backend.
__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "classes": ("PSNR", "SSIM"),
        "functions": (
            "PROTOCOLS",
            "PSNR_CAP",
            "channel",
            "describe",
            "luma",
            "psnr",
            "ssim",
        ),
    },
)
