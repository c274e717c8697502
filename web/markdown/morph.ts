/**
 * Makes the children of `target` those of `source`, and changes only what differs: a selection stays, and a code block that the reader
 * has scrolled does too.
 */
export function morph(target: Node, source: Node): void {
  let old = target.firstChild;
  for (const wanted of [...source.childNodes]) {
    const next: ChildNode | null = old?.nextSibling ?? null;
    if (!old) target.appendChild(wanted);
    else if (old instanceof Text && wanted instanceof Text) setText(old, wanted.data);
    else if (old instanceof Element && wanted instanceof Element && isSameKind(old, wanted)) morph(old, wanted);
    else old.replaceWith(wanted);
    old = next;
  }
  while (old) {
    const next = old.nextSibling;
    old.remove();
    old = next;
  }
}

function isSameKind(a: Element, b: Element): boolean {
  return (
    a.tagName === b.tagName &&
    a.attributes.length === b.attributes.length &&
    [...a.attributes].every(({ name, value }) => b.getAttribute(name) === value)
  );
}

function setText(text: Text, data: string): void {
  if (data.startsWith(text.data)) {
    if (data.length > text.data.length) text.appendData(data.slice(text.data.length)); // what is selected stays so
  } else text.data = data;
}
