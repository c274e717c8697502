import { useLayoutEffect, useRef } from 'preact/hooks';

interface TextFieldProps {
  label: string;
  value: string;
  onInput: (text: string) => void;
  onSend: () => void;
  onCancel?: () => void;
  id?: string;
  placeholder?: string;
  takesFocus?: boolean;
}

/** A text area as high as its text. Enter sends, Shift+Enter breaks the line. */
export function TextField({ label, value, onInput, onSend, onCancel, id, placeholder, takesFocus }: TextFieldProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    if (!area.current) return;
    area.current.style.height = 'auto';
    area.current.style.height = `${area.current.scrollHeight}px`;
  }, [value]);
  useLayoutEffect(() => {
    if (!takesFocus) return;
    area.current?.focus();
    area.current?.setSelectionRange(value.length, value.length);
  }, []);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && onCancel) {
      event.stopPropagation();
      onCancel();
    }
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return; // Enter ends a composition in Chinese or Japanese
    event.preventDefault();
    onSend();
  };
  return (
    <textarea
      ref={area}
      id={id}
      aria-label={label}
      placeholder={placeholder}
      rows={1}
      dir="auto"
      enterkeyhint="send"
      value={value}
      onInput={(event) => onInput(event.currentTarget.value)}
      onKeyDown={onKeyDown}
    />
  );
}
