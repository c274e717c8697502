import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { running } from '../chats/answering.js';
import { current } from '../chats/chats.js';
import { currentId } from '../settings.js';
import { AnswerView } from './answer.js';
import { copyCode } from './copy-button.js';
import { Icon } from './icons.js';
import { Question } from './question.js';
import { Welcome } from './welcome.js';

const NEAR_END = 48;

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
  const scroller = useRef<HTMLDivElement>(null);
  const [isAtEnd, setAtEnd] = useState(true);
  const follows = useRef(true);
  const lastTop = useRef(0);

  const toEnd = (): void => {
    follows.current = true;
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const onScroll = ({
    currentTarget: { scrollTop, scrollHeight, clientHeight },
  }: {
    currentTarget: HTMLDivElement;
  }): void => {
    const left = scrollHeight - scrollTop - clientHeight;
    // Whoever scrolls up wants to read there, however little that was.
    follows.current = scrollTop < lastTop.current ? left < 1 : left < NEAR_END;
    lastTop.current = scrollTop;
    setAtEnd(left < NEAR_END);
  };
  useLayoutEffect(() => {
    if (follows.current) toEnd();
  });
  useLayoutEffect(toEnd, [currentId.value, chat?.messages.length]);
  useEffect(() => {
    if (!scroller.current) return;
    const observer = new ResizeObserver(() => follows.current && toEnd());
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, []);

  return (
    <div class="conversation">
      {/* biome-ignore lint/a11y: the keys of a button are its own; this only hears of its clicks. */}
      <div class="scroller" ref={scroller} onScroll={onScroll} onClick={copyCode}>
        {chat || live ? (
          <ol class="messages" aria-label="Conversation">
            {earlier.filter(({ key }) => key !== live?.id)}
            {live && <AnswerView key={live.id} answer={live} chat={undefined} />}
          </ol>
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
