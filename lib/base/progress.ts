/** Called during long work: `done` of `total` bytes of a stage (`'download'`, `'convert'`), or layers of `'calibrate'`. Called from time to time, and at the end of each stage. */
export type OnProgress = (progress: { stage: string; done: number; total: number }) => void;
