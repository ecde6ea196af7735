package sqlite_test

const childEnv = "DIGESTGATE_STORE_CHILD"

func child(path string) int { return 0 }
