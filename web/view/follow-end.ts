import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

const NEAR_END = 48;

interface FollowEnd {
  readonly isAtEnd: boolean;
  readonly toEnd: () => void;
  readonly onScroll: () => void;
}

/** Keeps the end of what grows in view, unless the reader has scrolled up; a change of `subject` goes there in any case. */
export function useFollowEnd(scroller: RefObject<HTMLElement | null>, subject: string): FollowEnd {
  const [isAtEnd, setAtEnd] = useState(true);
  const follows = useRef(true);
  const lastTop = useRef(0);

  const left = (): number => {
    const { scrollHeight = 0, scrollTop = 0, clientHeight = 0 } = scroller.current ?? {};
    return scrollHeight - scrollTop - clientHeight;
  };
  const toEnd = (): void => {
    follows.current = true;
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const onScroll = (): void => {
    const top = scroller.current?.scrollTop ?? 0;
    // Whoever scrolls up wants to read there, however little that was.
    follows.current = left() < (top < lastTop.current ? 1 : NEAR_END);
    lastTop.current = top;
    setAtEnd(left() < NEAR_END);
  };
  useLayoutEffect(toEnd, [subject]);
  useLayoutEffect(() => {
    if (follows.current) toEnd();
    setAtEnd(left() < NEAR_END);
  });
  useEffect(() => {
    if (!scroller.current) return;
    const observer = new ResizeObserver(() => follows.current && toEnd());
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, []);
  return { isAtEnd, toEnd, onScroll };
}
