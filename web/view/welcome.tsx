export function Welcome() {
  return (
    <div class="welcome">
      <h1>What would you like to know?</h1>
      <p class="muted keys">
        <kbd>Enter</kbd> sends, <kbd>Shift</kbd> + <kbd>Enter</kbd> starts a new line, <kbd>Esc</kbd> stops an answer
      </p>
    </div>
  );
}
