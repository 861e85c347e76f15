package broker

import "time"

// Keys remembers which keys were appended and where: the newest, and not for
// ever. Its zero value is empty. It belongs to whoever guards it.
type Keys struct {
	known map[string]known
	order []expiry // the oldest first
}

// known is where a key was appended and until when that counts.
type known struct {
	position Position
	expires  time.Time
}

type expiry struct {
	key     string
	expires time.Time
}

// Find returns what the key was appended as.
func (k *Keys) Find(key string, now time.Time) (Position, bool) {
	for len(k.order) > 0 && !now.Before(k.order[0].expires) {
		k.drop()
	}
	found, ok := k.known[key]
	return found.position, ok && now.Before(found.expires)
}

// Remember keeps a key that Find did not, as the settings say.
func (k *Keys) Remember(key string, p Position, s Settings, now time.Time) {
	if s.Keys <= 0 || s.MaxKeys <= 0 {
		return
	}
	if k.known == nil {
		k.known = map[string]known{}
	}
	for len(k.order) >= s.MaxKeys {
		k.drop()
	}
	expires := now.Add(s.Keys)
	k.known[key] = known{p, expires}
	k.order = append(k.order, expiry{key, expires})
}

// drop forgets the oldest key, unless it was remembered again since.
func (k *Keys) drop() {
	oldest := k.order[0]
	if k.known[oldest.key].expires.Equal(oldest.expires) {
		delete(k.known, oldest.key)
	}
	k.order[0] = expiry{}
	k.order = k.order[1:]
}
