package lookup

// few is how many values a table holds without a map: more than most Pods have images.
const few = 4

// table holds what was read for one review. Its zero value is empty.
type table[K comparable, V any] struct {
	first [few]row[K, V]
	n     int     // of first that are used
	rest  map[K]V // all of them, once there are more
}

type row[K comparable, V any] struct {
	key   K
	value V
}

func (t *table[K, V]) get(k K) (v V, ok bool) {
	if t.rest != nil {
		v, ok = t.rest[k]
		return v, ok
	}
	for i := range t.n {
		if t.first[i].key == k {
			return t.first[i].value, true
		}
	}
	return v, false
}

func (t *table[K, V]) set(k K, v V) {
	if t.rest != nil {
		t.rest[k] = v
		return
	}
	for i := range t.n {
		if t.first[i].key == k {
			t.first[i].value = v
			return
		}
	}
	if t.n < few {
		t.first[t.n] = row[K, V]{k, v}
		t.n++
		return
	}
	t.rest = make(map[K]V, 4*few)
	for _, r := range t.first {
		t.rest[r.key] = r.value
	}
	t.rest[k] = v
}

func (t *table[K, V]) remove(k K) {
	if t.rest != nil {
		delete(t.rest, k)
		return
	}
	for i := range t.n {
		if t.first[i].key == k {
			t.n--
			t.first[i] = t.first[t.n]
			t.first[t.n] = row[K, V]{}
			return
		}
	}
}
