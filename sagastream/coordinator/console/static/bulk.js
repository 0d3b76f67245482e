// Repairs of everything a filter finds. Shown beside the list.
export const Bulk = () => null;
