// The page of the example "chat" in Chromium: two people in two tabs.

import assert from "node:assert/strict";
import { join } from "node:path";
import { ask, atEnd, load, run, url } from "./checks.mjs";

const { chromium } = load("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// A person in a tab. An error of the page fails the check, whatever else happens.
class Person {
  static async arrive(context, name) {
    const person = new Person();
    person.name = name;
    person.page = await context.newPage();
    person.faults = [];
    person.page.on("pageerror", (error) => person.faults.push(error.message));
    await person.page.goto(url);
    await person.page.getByLabel("Your name").fill(name);
    await person.page.getByRole("button", { name: "Join" }).click();
    await person.online();
    return person;
  }

  // Waits until the server has answered the join.
  online = () => this.page.getByRole("status").filter({ hasText: `online as ${this.name}` }).waitFor();
  status = (text) => this.page.getByRole("status").filter({ hasText: text }).waitFor();
  sees = (text) => this.page.getByRole("log").getByText(text, { exact: true }).last().waitFor();
  write = (text) => this.page.getByLabel("Message", { exact: true }).pressSequentially(text);
  send = () => this.page.getByRole("button", { name: "Send" }).click();
  say = async (text) => {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.send();
  };
  people = (text) => this.page.locator("#people").filter({ hasText: text }).waitFor();
  typing = (text) => this.page.waitForFunction((text) => document.getElementById("typing").textContent === text, text);
  delivered = () => this.page.waitForFunction(() => document.querySelector(".sending") === null);
  messages = () => this.page.locator("#log .message").allInnerTexts();
}

// Two tabs of one browser. Every check uses its own names, because the people of the previous check may still be leaving.
async function two(first, second) {
  const context = await browser.newContext({ viewport: { width: 760, height: 620 } });
  context.setDefaultTimeout(20_000);
  const people = [await Person.arrive(context, first), await Person.arrive(context, second)];
  await people[0].sees(`${second} has joined`);
  atEnd(() => context.close());
  return people;
}

// A screenshot for developers of the page, stored beside the packages.
const picture = (person, name) => person.page.screenshot({ path: join(process.env.PEER_PACKAGES, "..", "pictures", `${name}.png`) });

async function faultless(...people) {
  for (const person of people) assert.deepStrictEqual(person.faults, []);
}

await run({
  async messages_go_both_ways_with_names() {
    const [ada, grace] = await two("Ada", "Grace");
    await ada.people("2 here: Ada, Grace");
    await grace.people("2 here: Ada, Grace");
    await ada.say("Hello Grace, grüße 😀");
    await grace.sees("Hello Grace, grüße 😀");
    await grace.say("<b>not bold</b> & \"quoted\"");
    await ada.sees("<b>not bold</b> & \"quoted\"");
    await Promise.all([ada.delivered(), grace.delivered()]);
    assert.deepStrictEqual((await grace.messages()).slice(-2), ["Ada\nHello Grace, grüße 😀", "<b>not bold</b> & \"quoted\""]);
    await picture(ada, "messages");
    await faultless(ada, grace);
  },

  async the_typing_indicator_appears_and_goes() {
    const [edsger, barbara] = await two("Edsger", "Barbara");
    await edsger.write("I am wri");
    await barbara.typing("Edsger is typing…");
    await picture(barbara, "typing");
    // Nothing more is typed.
    await barbara.typing("");
    await edsger.write("ting again");
    await barbara.typing("Edsger is typing…");
    await edsger.send();
    await barbara.sees("I am writing again");
    await barbara.typing("");
    await faultless(edsger, barbara);
  },

  async a_leave_is_noticed() {
    const [alan, joan] = await two("Alan", "Joan");
    await joan.write("never sent");
    await alan.typing("Joan is typing…");
    await joan.page.close();
    await alan.sees("Joan has left");
    await alan.typing("");
    await alan.people("1 here: Alan");
    await faultless(alan);
  },

  async a_reload_keeps_name_and_conversation() {
    const [kurt, emmy] = await two("Kurt", "Emmy");
    await kurt.say("before the reload");
    await emmy.sees("before the reload");
    await kurt.delivered();
    await emmy.page.reload();
    await emmy.online();
    await kurt.sees("Emmy has left");
    await emmy.sees("before the reload");
    await kurt.people("2 here: Kurt, Emmy");
    await emmy.say("after the reload");
    await kurt.sees("after the reload");
    await faultless(kurt, emmy);
  },

  async a_server_restart_is_survived() {
    const [niklaus, hedy] = await two("Niklaus", "Hedy");
    await ask("stop");
    await niklaus.sees("The connection was lost");
    await hedy.sees("The connection was lost");
    await niklaus.say("said while nobody listened");
    await picture(niklaus, "restart");
    await ask("start");
    await Promise.all([niklaus.online(), hedy.online()]);
    await Promise.all([niklaus.people("2 here:"), hedy.people("2 here:")]);
    await niklaus.delivered();
    await hedy.say("are you back?");
    await niklaus.sees("are you back?");
    await niklaus.say("I am");
    await hedy.sees("I am");
    await faultless(niklaus, hedy);
  },

  async a_blank_name_goes_nowhere() {
    const context = await browser.newContext();
    atEnd(() => context.close());
    const page = await context.newPage();
    await page.goto(url);
    await page.getByRole("status").filter({ hasText: "online" }).waitFor();
    await page.getByLabel("Your name").fill("   ");
    await page.getByRole("button", { name: "Join" }).click();
    assert.equal(await page.getByRole("log").isVisible(), false);
  },
}, () => browser.close());
