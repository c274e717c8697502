/**
 * Calls `paint` once for any number of calls in a frame. A frame that takes long, as that of a very long answer does, is followed by
 * a pause as long, so that the page can be used.
 */
export function oncePerFrame(paint: () => void): () => void {
  let isDue = false;
  let resumeAt = 0;
  const run = (): void => {
    isDue = false;
    const start = performance.now();
    paint();
    setTimeout(() => {
      const end = performance.now();
      resumeAt = end + (end - start);
    });
  };
  return () => {
    if (isDue) return;
    isDue = true;
    const pause = resumeAt - performance.now();
    // A hidden page has no frames.
    if (document.hidden || pause > FRAME_MS) setTimeout(run, Math.max(pause, FRAME_MS));
    else requestAnimationFrame(run);
  };
}

const FRAME_MS = 16;
