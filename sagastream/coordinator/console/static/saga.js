export const SagaPage = () => null;
