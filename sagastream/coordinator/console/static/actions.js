// What an operator can do about a saga.
export const Actions = () => null;
