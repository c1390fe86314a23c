// The page of API keys: the button that copies a new secret.
const button = document.getElementById("copy");
const secret = document.getElementById("secret");
if (button && secret) {
  button.hidden = !navigator.clipboard;
  secret.addEventListener("focus", () => secret.select());
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret.value);
      button.textContent = "Copied";
    } catch {
      secret.select();
      button.textContent = "Press Ctrl+C";
    }
  });
}
