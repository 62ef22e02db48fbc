import { storeKey } from "./api.js";
import { byId, setText } from "./dom.js";

/** Asks for the API key where the server wants one. It is kept for this tab only. */
export class KeyForm {
  #form = byId("key-form", HTMLFormElement);
  #input = byId("key", HTMLInputElement);
  #problem = byId("key-problem", HTMLElement);
  #forget = byId("forget", HTMLButtonElement);

  /** @param {() => Promise<boolean>} tryKey - whether the server takes the stored key */
  constructor(tryKey) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#use(tryKey);
    });
    this.#forget.addEventListener("click", () => {
      storeKey("");
      this.ask();
    });
  }

  /** Asks for a key. */
  ask() {
    this.#form.hidden = false;
    this.#forget.hidden = true;
    this.#input.focus();
  }

  /** The server takes the stored key. */
  accepted() {
    this.#form.hidden = true;
    this.#forget.hidden = false;
  }

  /** @param {() => Promise<boolean>} tryKey */
  async #use(tryKey) {
    storeKey(this.#input.value.trim());
    setText(this.#problem, "");
    if (await tryKey()) {
      this.#input.value = "";
      this.accepted();
      byId("prompt", HTMLTextAreaElement).focus();
      return;
    }
    storeKey("");
    setText(this.#problem, "The server does not know this key.");
    this.#input.focus();
  }
}
