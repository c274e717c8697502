/** A request that the server did not answer, in words for the person who made it. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly needsKey = false,
  ) {
    super(message);
  }
}

interface ErrorBody {
  readonly message?: string;
  readonly code?: string | null;
}

export async function failureOf(response: Response): Promise<Failure> {
  const { error = {} } = (await response.json().catch(() => ({}))) as { error?: ErrorBody };
  const { status } = response;
  if (status === 401) return new Failure('The server asks for an API key, and this is not one of its keys.', true);
  if (status === 403) {
    return new Failure(
      `The server does not answer to the name ${location.hostname}. Open it as localhost, or start it with --allowed-host ${location.hostname}.`,
    );
  }
  if (status === 413) return new Failure('The chat is too long to be sent. Start a new one.');
  if (status === 429) {
    const seconds = Number(response.headers.get('retry-after')) || 1;
    return new Failure(`The server is busy. Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`);
  }
  return new Failure(inWords(error));
}

/** What the server says is wrong: an answer that has begun is over its status. */
export function inWords({ message, code }: ErrorBody): string {
  if (code === 'context_length_exceeded') {
    return 'The chat is longer than the model can read. Start a new one, or edit an earlier message.';
  }
  if (code === 'model_not_found') return 'The server does not have this model any more. Choose another one.';
  return message ?? 'The server failed to answer. Its log says why.';
}

/** What `fetch` throws says nothing that helps. */
export const unreachable = (): Failure => new Failure('The server cannot be reached. Check that it is running.');
