import { useMemo, useRef } from 'preact/hooks';
import { running } from '../chats/answering.js';
import { current } from '../chats/chats.js';
import { currentId } from '../settings.js';
import { AnswerView } from './answer.js';
import { copyCode } from './copy-button.js';
import { useFollowEnd } from './follow-end.js';
import { Icon } from './icons.js';
import { Question } from './question.js';
import { Welcome } from './welcome.js';

export function Conversation() {
  const chat = current.value;
  const live = running.value.get(currentId.value);
  const isRunning = live !== undefined;
  // The same elements while an answer grows, which Preact then leaves alone.
  const earlier = useMemo(
    () =>
      chat?.messages.map((message, i) =>
        message.role === 'user' ? (
          <Question key={message.id} message={message} chat={chat} isFixed={isRunning} />
        ) : (
          <AnswerView
            key={message.id}
            answer={message}
            chat={i === chat.messages.length - 1 && !isRunning ? chat : undefined}
          />
        ),
      ) ?? [],
    [chat, isRunning],
  );
  const shown = earlier.filter(({ key }) => key !== live?.id);
  // In one list with the others, its elements stay when it has ended.
  if (live) shown.push(<AnswerView key={live.id} answer={live} chat={undefined} />);
  const scroller = useRef<HTMLDivElement>(null);
  const question = chat?.messages.findLast(({ role }) => role === 'user')?.id;
  const { isAtEnd, toEnd, onScroll } = useFollowEnd(scroller, `${currentId.value} ${question}`);
  return (
    <div class="conversation">
      {/* biome-ignore lint/a11y: the keys of a button are its own; this only hears of its clicks. */}
      <div class="scroller" ref={scroller} onScroll={onScroll} onClick={copyCode}>
        {chat ? (
          <>
            <h1 class="visually-hidden">{chat.title}</h1>
            <ol class="messages" aria-label="Conversation">
              {shown}
            </ol>
          </>
        ) : (
          <Welcome />
        )}
      </div>
      {!isAtEnd && (
        <button type="button" class="round to-end" aria-label="Go to the end" title="Go to the end" onClick={toEnd}>
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}
