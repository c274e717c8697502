import { setTimeout as delay } from 'node:timers/promises';
import type { Chunk, Generation } from 'node-tensorrt-llm';
import type { EventLog } from './events.js';
import type { Reader } from './plan.js';
import type { Transcript } from './transcript.js';

const SLOW_READ_MS = 3;

interface Reading {
  readonly reader: Reader;
  /** Gets what is read. */
  readonly transcript: Transcript;
  readonly onChunk: () => 'leave' | 'go on';
  readonly events: EventLog;
}

/** Reads as the reader does, and says how that ended: at the end, before it, or by a throw. */
export async function read(
  generation: Generation,
  { reader, transcript, onChunk, events }: Reading,
): Promise<'read' | 'left' | 'not read' | { thrown: unknown }> {
  const take = (chunk: Chunk): 'leave' | 'go on' => {
    transcript.add(chunk);
    return onChunk();
  };
  try {
    if (reader === 'stream' || reader === 'slow') {
      for await (const chunk of generation) {
        if (take(chunk) === 'leave') return 'left';
        if (reader === 'slow') await delay(SLOW_READ_MS);
      }
    } else if (reader === 'text') {
      for await (const text of generation.textStream) transcript.addText(text);
    } else if (reader === 'web') {
      const stream = generation.toReadableStream().getReader();
      for (let step = await stream.read(); !step.done; step = await stream.read()) {
        if (take(step.value) === 'go on') continue;
        await stream.cancel();
        return 'left';
      }
    } else {
      if (reader === 'unread') await events.whenEnded(generation.id);
      return 'not read';
    }
    return 'read';
  } catch (thrown) {
    return { thrown };
  }
}
