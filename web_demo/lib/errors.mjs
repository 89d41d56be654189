/** A user's mistake or a refusal, as one line: what was given, what is allowed, what to do next. */
export class DemoError extends Error {
  /**
   * @param {string} what the fact, naming the file or value at fault
   * @param {{allowed?: string, next?: string}} more what would have been accepted; the next action
   */
  constructor(what, { allowed, next } = {}) {
    super([what, allowed && `allowed: ${allowed}`, next && `next: ${next}`].filter(Boolean).join('; '));
    this.name = new.target.name;
  }
}

/** A picture, a scan or the camera cannot be used. */
export class DataError extends DemoError {}

/** contract.json does not follow its schema. */
export class ContractError extends DemoError {}

/** The bundle's bytes are not the ones it was sealed with, or they cannot be checked here. */
export class TamperedError extends DemoError {}

/** The golden vectors do not come out as they must: nothing may be run. */
export class SelfTestError extends DemoError {}
