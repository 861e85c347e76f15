package bolt

// key is what one publication is remembered by.
type key struct {
	text    string
	offset  uint64
	expires int64 // nanoseconds since 1970
}

// keys are those of one topic, the oldest first. They belong to the committer.
type keys struct {
	known map[string]key
	order []key
}

// find returns the offset a key was appended at, 0 if it is not remembered.
func (k *keys) find(text string, now int64) uint64 {
	if found, ok := k.known[text]; ok && now < found.expires {
		return found.offset
	}
	return 0
}

// add remembers a key that find did not.
func (k *keys) add(added key) {
	if k.known == nil {
		k.known = map[string]key{}
	}
	k.known[added.text] = added
	k.order = append(k.order, added)
}

// surplus are the keys to be forgotten so that most are left, and those that
// expired before any that has not.
func (k *keys) surplus(most int, now int64) []key {
	n := max(0, len(k.order)-max(0, most))
	for n < len(k.order) && k.order[n].expires <= now {
		n++
	}
	return k.order[:n]
}

// drop forgets the oldest n keys.
func (k *keys) drop(n int) {
	for _, old := range k.order[:n] {
		if k.known[old.text].offset == old.offset { // not remembered again since
			delete(k.known, old.text)
		}
	}
	clear(k.order[:n])
	k.order = k.order[n:]
}
