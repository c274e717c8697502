import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { Blocks, toFragment } from '../markdown/html.js';
import { morph } from '../markdown/morph.js';
import { memo } from './memo.js';

/** Markdown that may still grow. Whole, it is read once more: a link's address can come after the link. */
export const Markdown = memo(({ text, isGrowing }: { text: string; isGrowing: boolean }) => {
  const growing = useRef(new Blocks());
  const blocks = useMemo(() => (isGrowing ? growing.current : new Blocks()).update(text), [text, isGrowing]);
  return (
    <div class="prose">
      {blocks.map((html, i) => (
        <Block key={i} html={html} />
      ))}
    </div>
  );
});

const Block = memo(({ html }: { html: string }) => {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (element.current) morph(element.current, toFragment(html));
  }, [html]);
  return <div class="block" dir="auto" ref={element} />;
});
