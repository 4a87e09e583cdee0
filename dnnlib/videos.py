"""Video files, written by the FFmpeg that comes with imageio-ffmpeg."""

import contextlib
import itertools
import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import ImageColor

from dnnlib.files import atomic_file

# File types, and the most frames a second of each; programs show GIF files that claim more than 50 at 10.
MOST_FPS = {".mp4": 120, ".gif": 50}
# What small frames are enlarged to, where the user does not say.
_LEAST_SIDE = 256
# Pixels of a frame, 8192x4096; H.264's highest level ends at 36 million.
_MOST_PIXELS = 2**25
_MP4 = [
    *("-c:v", "libx264", "-crf", "17", "-pix_fmt", "yuv420p"),  # 17 looks like the original
    *("-movflags", "+faststart"),  # browsers start to play before they have the whole file
]
# A palette a frame, so that the first frame can be written before the last one is known; repeated for ever.
_PALETTE = "split[a][b];[a]palettegen=stats_mode=single:reserve_transparent=0[p];[b][p]paletteuse=new=1"
_GIF = ["-loop", "0"]
# What FFmpeg calls frames of so many channels; those of four are laid over a background first.
_PIXELS = {1: "gray", 3: "rgb24", 4: "rgb24"}


def check_video(path, fps):
    """Raises ValueError if `save_video` could not write such a file."""
    suffix = Path(path).suffix
    if suffix not in MOST_FPS:
        raise ValueError(f"{path} must end in {' or '.join(MOST_FPS)}.")
    if not 0 < fps <= MOST_FPS[suffix]:
        raise ValueError(
            f"A {suffix} file shows more than 0 and at most {MOST_FPS[suffix]} frames a second; received {fps}."
        )


def check_colour(background):
    """Raises ValueError for a colour that Pillow does not know."""
    try:
        ImageColor.getrgb(background)
    except ValueError:
        raise ValueError(
            f"--background={background} is no colour. Use a name or a number, as white, black or #808080."
        ) from None


def save_video(path, frames, fps, scale=None, background="white"):
    """Writes a video whole or not at all; memory does not grow with the number of frames.

    Args:
        path: File name, in a folder that is created if need be: .mp4 for H.264, which all browsers play, or .gif, which
            has 256 colours a frame and repeats for ever.
        frames: Iterable of at least one uint8 [H, W, C], C of 1, 3 or, for RGBA, 4, all of one shape; for .mp4, H and W
            times `scale` must be even.
        fps: Frames a second.
        scale: Whole number by which frames are enlarged, each pixel to a square; None: so that both sides have at least
            256 pixels.
        background: What is seen through RGBA, a colour by name or number (white, #808080): videos have no alpha.

    Raises:
        ValueError: See `check_video`; or the frames are too large.
        OSError: The file cannot be written.
    """
    path, frames = Path(path), iter(frames)
    check_video(path, fps)
    first = next(frames)
    height, width, channels = first.shape
    scale = scale or -(-_LEAST_SIDE // min(height, width))
    if height * width * scale**2 > _MOST_PIXELS:
        raise ValueError(
            f"Frames of {width * scale}x{height * scale} pixels are too large for a video; enlarge them less, or show "
            "fewer images in one."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    enlarge = f"scale=iw*{scale}:ih*{scale}:flags=neighbor"
    # Of colours that the file does not define, players guess by the size which ones are meant.
    colours = "out_color_matrix=bt709,setparams=color_primaries=bt709:color_trc=bt709"
    filters, options = {
        ".mp4": (f"{enlarge}:{colours}", _MP4),
        ".gif": (f"{enlarge},{_PALETTE}", _GIF),
    }[path.suffix]
    source = ["-f", "rawvideo", "-pix_fmt", _PIXELS[channels], "-s", f"{width}x{height}"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, "-r", str(fps), "-i", "-"]
    all_frames = itertools.chain([first], frames)
    if channels == 4:
        colour = np.array(ImageColor.getcolor(background, "RGB"), np.int32)
        all_frames = (lay_over(frame, colour) for frame in all_frames)
    with atomic_file(path) as temporary:
        _feed([*command, "-vf", filters, *options, f"file:{temporary}"], all_frames, path)


def lay_over(image, colour):
    """An image, uint8 [H, W, 4], over a colour, integers [3]; uint8 [H, W, 3], rounded."""
    alpha = image[:, :, 3:].astype(np.int32)
    return ((image[:, :, :3] * alpha + colour * (255 - alpha) + 127) // 255).astype(np.uint8)


def _feed(command, frames, path):
    """Runs FFmpeg with frames as its input; OSError with its last words if it fails."""
    # A file, as a pipe that nobody reads while frames are made could fill up. A process group of its own, as Ctrl-C is
    # for this process, which then ends the other.
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, process_group=0) as process,
    ):
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:  # if it has failed, it says below why
                for frame in frames:
                    process.stdin.write(np.ascontiguousarray(frame))
            failed = process.wait() != 0
        except BaseException:
            process.kill()
            raise
        if failed:
            log.seek(0)
            words = log.read().decode(errors="replace").strip() or "nothing, it was killed"
            raise OSError(f"{path} cannot be written; FFmpeg says: {words.splitlines()[-1]}")
