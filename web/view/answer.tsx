import { regenerate } from '../chats/answering.js';
import type { Answer, Chat, Timing } from '../chats/chat.js';
import { CopyButton } from './copy-button.js';
import { focusMessage } from './focus.js';
import { Icon } from './icons.js';
import { Markdown } from './markdown.js';

/** `chat` if it is the last message, which can be asked for again. */
export function AnswerView({ answer, chat }: { answer: Answer; chat: Chat | undefined }) {
  const { text, reasoning, toolCalls, end, model } = answer;
  const isRunning = end === 'running';
  const again = (): void => {
    if (chat) regenerate(chat);
    focusMessage();
  };
  const isEmpty = text === '' && reasoning === '' && toolCalls.length === 0;
  return (
    <li class="answer" aria-busy={isRunning}>
      <h2 class="visually-hidden">Answer of {model}</h2>
      {reasoning !== '' && (
        <details class="reasoning">
          <summary>{isRunning && text === '' ? 'Thinking…' : 'Thoughts'}</summary>
          <Markdown text={reasoning} isGrowing={isRunning} />
        </details>
      )}
      {text !== '' && <Markdown text={text} isGrowing={isRunning} />}
      {toolCalls.map((call, i) => (
        <details class="tool-call" key={i}>
          <summary>
            Calls <code>{call.name}</code>
          </summary>
          <pre>
            <code>{indented(call.arguments)}</code>
          </pre>
        </details>
      ))}
      {end === 'failed' && (
        <div class="failure">
          <p>{answer.failure}</p>
          {chat && (
            <button type="button" class="button" onClick={again}>
              Try again
            </button>
          )}
        </div>
      )}
      <div class="under">
        {isRunning ? (
          <span class="working">
            <span class="pulse" />
            {isEmpty ? 'Waiting for the first token' : 'Answering'}
          </span>
        ) : (
          <>
            {text !== '' && <CopyButton text={text} />}
            {chat && end !== 'failed' && (
              <button
                type="button"
                class="icon-button small"
                aria-label="Regenerate"
                title="Regenerate"
                onClick={again}
              >
                <Icon name="again" />
              </button>
            )}
            <span class="facts">{factsOf(answer)}</span>
          </>
        )}
      </div>
    </li>
  );
}

function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json; // not whole yet, or not JSON: models write it
  }
}

const ENDS: Partial<Record<Answer['end'], string>> = {
  length: 'reached the maximum length',
  stopped: 'stopped',
  interrupted: 'interrupted, the page was closed',
};

function factsOf({ end, timing }: Answer): string {
  return [ENDS[end], ...(timing ? timingInWords(timing) : [])].filter((each) => each !== undefined).join(' · ');
}

function timingInWords({ tokens, tokensPerSecond, firstTokenMs, isExact }: Timing): string[] {
  const about = isExact ? '' : 'about ';
  const speed = (perSecond: number): string => (perSecond < 100 ? perSecond.toPrecision(3) : perSecond.toFixed());
  const first = firstTokenMs < 1000 ? `${Math.round(firstTokenMs)} ms` : `${(firstTokenMs / 1000).toFixed(1)} s`;
  return [
    ...(tokensPerSecond === undefined ? [] : [`${about}${speed(tokensPerSecond)} tokens/s`]),
    `${about}${tokens} ${tokens === 1 ? 'token' : 'tokens'}`,
    `first token ${first}`,
  ];
}
