// What the coordinator says of itself once: its version, its tables, what can be tried here.
import { computed, signal } from "./html.js";
import { get } from "./api.js";

/** What `api/v1/console` says, null until it has. */
export const about = signal(null);

/** Every table that is known. */
export const definitions = signal([]);

/** The names of all steps of all tables, each once, in their order. */
export const steps = computed(() => [
  ...new Set(definitions.value.flatMap((table) => table.steps.map((step) => step.name))),
]);

/** The names of all processes. */
export const processes = computed(() => [...new Set(definitions.value.map((table) => table.businessProcess))]);

/** The table a saga began with, undefined where it is not known. */
export const tableOf = (saga) =>
  definitions.value.find((one) => one.businessProcess === saga.businessProcess && one.version === saga.version);

/** Ask until it is known: a page that was opened too early is not left without it. */
export async function learn() {
  try {
    const [told, tables] = await Promise.all([get("api/v1/console"), get("api/v1/definitions")]);
    about.value = told;
    definitions.value = tables;
  } catch {
    setTimeout(learn, 2000);
  }
}

learn();
