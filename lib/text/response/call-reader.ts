/** Takes the calls of an answer, part by part. */
export interface CallSink {
  /** A call begins. */
  call(name: string, id: string | undefined): void;
  /** More of the JSON text of its arguments. */
  arguments(text: string): void;
  /** What is no call. */
  text(text: string): void;
}

/** Reads one region of calls. */
export interface CallReader {
  /** Returns how many units of the text are of the region. If not all, the region ends there. */
  push(text: string): number;
  /** The region ends with this mark, or, if that is empty, with the answer. */
  end(mark: string): void;
}
