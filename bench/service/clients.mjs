// HTTP clients in a process of their own, so that their work counts neither as the server's time nor delays it. The parent sends what to
// do, one thing at a time: { run: 'streams' | 'pings' | 'connections', ... }.
import { once } from 'node:events';
import http from 'node:http';

const CHAT = '/v1/chat/completions';
const agent = new http.Agent({ keepAlive: true });

const quantiles = (values, digits = 2) => {
  values.sort((a, b) => a - b);
  const at = (part) => Number(values[Math.floor(values.length * part)]?.toFixed(digits));
  return { p50: at(0.5), p99: at(0.99) };
};

/** Reads one stream to its end. Answers with its events and when each piece of them came. */
function readStream({ port, path }, fields) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const options = { port, host: '127.0.0.1', path, method: 'POST', agent };
    const request = http.request(options, (response) => {
      const pieces = [];
      const times = [];
      response.on('data', (piece) => {
        pieces.push(piece);
        times.push(performance.now() - start);
      });
      response.on('end', () => resolve({ events: String(Buffer.concat(pieces)), times }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(JSON.stringify(fields));
  });
}

const textOf = (events) => {
  if (!events.endsWith('data: [DONE]\n\n')) throw new Error(`a stream broke off: ${events.slice(-200)}`);
  let text = '';
  for (const line of events.split('\n\n')) {
    if (!line.startsWith('data: {')) continue;
    const [choice] = JSON.parse(line.slice('data: '.length)).choices;
    text += choice.text ?? choice.delta.content ?? '';
  }
  return text;
};

/** `clients` each make one request after another: `requests` of them, or for so many `seconds`. */
async function streams({ clients, fields, requests = Number.POSITIVE_INFINITY, seconds, letters, ...to }) {
  const first = [];
  const gaps = [];
  const begin = performance.now();
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : begin + seconds * 1000;
  let count = 0;
  const client = async (number) => {
    for (let i = 0; i < requests && performance.now() < end; i++) {
      const prompt = `${number}.${i}: Tell me a story.`; // its own, so that no cache knows it
      const input = to.path === CHAT ? { messages: [{ role: 'user', content: prompt }] } : { prompt };
      const { events, times } = await readStream(to, { ...fields, ...input, stream: true });
      const text = textOf(events);
      if (letters !== undefined && text.length !== letters) {
        throw new Error(`a stream has ${text.length} letters, not ${letters}`);
      }
      first.push(times[0]);
      for (let j = 1; j < times.length; j++) gaps.push(times[j] - times[j - 1]);
      count++;
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  const elapsed = (performance.now() - begin) / 1000;
  return { requests: count, requestsPerSecond: count / elapsed, firstMs: quantiles(first, 3), gapMs: quantiles(gaps) };
}

const ping = (port) =>
  new Promise((resolve, reject) => {
    const start = performance.now();
    http
      .get({ port, host: '127.0.0.1', path: '/ping', agent }, (response) => {
        response.resume().on('end', () => resolve(performance.now() - start));
      })
      .on('error', reject);
  });

async function pings({ port, seconds }) {
  const times = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    times.push(await ping(port));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return quantiles(times);
}

/** Opens connections, each of which makes one request and stays. */
async function connections({ port, count }) {
  for (let i = 0; i < count; i++) {
    const own = new http.Agent({ keepAlive: true });
    const [response] = await once(http.get({ port, host: '127.0.0.1', path: '/health', agent: own }), 'response');
    await once(response.resume(), 'end');
  }
  return { connections: count };
}

const RUNS = { streams, pings, connections };

process.on('message', async ({ run, ...options }) => {
  try {
    process.send({ done: await RUNS[run](options) });
  } catch (error) {
    process.send({ failed: String(error.stack) });
  }
});
