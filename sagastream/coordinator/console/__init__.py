"""The page by which people see and steer sagas, served by the coordinator. Knows tables, never what they are about."""
