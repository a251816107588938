"""Speed of generating, end to end on this machine: sound to encoded MP4, warm, the median of several runs.

    python benchmarks/generate_speed.py [--weights mini] [--threads 2] [--overlap] [--seconds 30] [--size 256]

Without --weights, networks of mini's shape with random numbers in them: they take the same time as trained ones. Stages
are seconds of work for each second of video; with --overlap they run side by side and their sum exceeds the total.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from letstalk.engine.film import FilmOptions, FilmResult, film
from letstalk.engine.session import Session
from letstalk.flow.schedulers import make_scheduler
from letstalk.media.video import VideoWriter
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.transformer import TalkingTransformer
from letstalk.pipeline import LetsTalkPipeline
from letstalk.runtime import RuntimePlan, numpy_generator, resource_dir
from letstalk.settings import GenerationSettings
from letstalk.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Audio


def random_mini() -> LetsTalkPipeline:
    codec, generator = ReferenceAutoencoder(), torch.Generator().manual_seed(0)
    channels = codec.config["latent_channels"]
    codec.freeze_latents(torch.zeros(channels), torch.ones(channels), version=1)
    talker = TalkingTransformer(latent_hash=codec.config["latent_hash"])
    with torch.no_grad():
        for parameter in talker.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return LetsTalkPipeline(talker, codec, MelAudioEncoder(), make_scheduler("euler", 3.0))


def voice(seconds: float) -> Audio:
    """Noise that comes and goes at the rate of syllables."""
    count = round(seconds * SAMPLE_RATE_HZ)
    envelope = np.clip(np.sin(2 * np.pi * 4 * np.arange(count) / SAMPLE_RATE_HZ), 0, 1)
    return Audio((0.1 * envelope * numpy_generator(0, "voice").standard_normal(count)).astype(np.float32))


def one_run(session: Session, speech: Audio, overlap: bool) -> FilmResult:
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(Path(folder) / "out.mp4", session.frame_shape) as writer,
    ):
        return film(session, speech, writer, options=FilmOptions(overlap=overlap))


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a shipped model or a folder; random ones of mini's shape by default")
    parser.add_argument("--threads", type=int, default=2, help="of each network; with --overlap two networks work")
    parser.add_argument("--overlap", action="store_true")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--dtype", default="auto")
    chosen = parser.parse_args()

    begin = time.perf_counter()
    plan = RuntimePlan.choose("cpu", chosen.dtype, chosen.threads)
    device, dtype = plan.apply()
    pipeline = LetsTalkPipeline.from_pretrained(chosen.weights, dtype=dtype) if chosen.weights else random_mini()
    settings = GenerationSettings().changed(size=chosen.size, steps=chosen.steps)
    portrait = sorted((resource_dir("assets") / "portraits").glob("*.png"))[0]
    session = pipeline.place(device, dtype).session(portrait, settings)
    print(f"{plan.dtype}, {plan.num_threads} threads, overlap {chosen.overlap}, {chosen.size} px, {chosen.steps} steps")
    print(f"models and portrait ready after {time.perf_counter() - begin:.1f} s (without imports)")

    one_run(session, voice(2.0), chosen.overlap)
    begin_cpu = time.process_time()
    results = [one_run(session, voice(chosen.seconds), chosen.overlap) for _ in range(chosen.runs)]
    cpu_seconds = (time.process_time() - begin_cpu) / chosen.runs
    factors = sorted(result.real_time_factor for result in results)
    result = sorted(results, key=lambda item: item.real_time_factor)[len(results) // 2]
    heard = (
        min(settings.first_chunk_frames, settings.chunk_frames) * SAMPLES_PER_FRAME
        + pipeline.audio_encoder.lookahead_samples
    ) / SAMPLE_RATE_HZ
    print(f"real-time factor {statistics.median(factors):.3f} (runs: {', '.join(f'{f:.3f}' for f in factors)})")
    print(f"first picture {result.first_frame_seconds:.2f} s after its sound, which is the first {heard:.2f} s")
    for name, seconds in result.stage_seconds.items():
        print(f"  {name:<12} {seconds / chosen.seconds:6.3f} s a second of video")
    print(f"processor time {cpu_seconds / chosen.seconds:.3f} s a second of video: what a busy machine cannot spoil")
    print(f"peak memory {peak_megabytes():.0f} MB")


if __name__ == "__main__":
    main()
