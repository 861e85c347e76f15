package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, version 2, which has not changed since 2014. It is
// read here without bbolt, which trusts its pages: on a damaged one it panics,
// on any goroutine, or follows it out of the file.
const (
	pageHeader  = 16
	elementSize = 16
	metaSize    = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	noFreelist  = 1<<64 - 1

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01
	bucketHeader  = 16
	maxDepth      = 64
)

// word is the byte order of pages: that of the machine.
var word = binary.NativeEndian

// damaged returns an ErrDamaged that says where.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// meta is the state that a transaction left.
type meta struct {
	pageSize uint64
	root     uint64 // page
	freelist uint64 // page
	pages    uint64 // how many are in use or free
	txid     uint64
}

// pages walks a file and finds fault with it.
type pages struct {
	meta
	file io.ReaderAt
	used []bool // by number of the page
	// visit is called with every record, in the order of keys. What it gets is
	// valid until it returns.
	visit func(bucket, key, value []byte) error
}

// scan checks every page of a file of a size and visits every record. It returns
// the transaction that the file is at.
func scan(file io.ReaderAt, size int64, visit func(bucket, key, value []byte) error) (txid uint64, err error) {
	m, err := newestMeta(file)
	if err != nil {
		return 0, err
	}
	if m.pages < 4 || m.pages > uint64(size)/m.pageSize {
		return 0, damaged("it has %d bytes for %d pages of %d", size, m.pages, m.pageSize)
	}
	p := &pages{meta: m, file: file, visit: visit, used: make([]bool, m.pages)}
	p.used[0], p.used[1] = true, true
	if err := p.walk(m.root, nil, span{}, 0); err != nil {
		return 0, err
	}
	return m.txid, p.checkFree()
}

// newestMeta is the one of the two that has the higher transaction. Both have to
// be valid, and in their places: with the newest one gone, what it acknowledged
// would be missing in silence. A write that stops half way leaves a whole one, old
// or new, because it is in one sector of the disk.
func newestMeta(file io.ReaderAt) (newest meta, err error) {
	found := 0
	for size := int64(1 << 10); size <= 1<<16; size <<= 1 {
		for number := range uint64(2) {
			m, ok := readMeta(file, number, size)
			if !ok || int64(m.pageSize) != size {
				continue
			}
			if found++; m.txid >= newest.txid {
				newest = m
			}
		}
	}
	if found != 2 {
		return meta{}, damaged("%d of its two first pages are valid", found)
	}
	return newest, nil
}

// readMeta reads one of the two first pages, if pages have a size.
func readMeta(file io.ReaderAt, number uint64, size int64) (meta, bool) {
	var whole [pageHeader + metaSize]byte
	if _, err := file.ReadAt(whole[:], int64(number)*size); err != nil {
		return meta{}, false
	}
	b := whole[pageHeader:]
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	valid := word.Uint64(whole[:]) == number &&
		word.Uint32(b[0:]) == metaMagic && word.Uint32(b[4:]) == metaVersion && word.Uint64(b[56:]) == h.Sum64()
	return meta{
		pageSize: uint64(word.Uint32(b[8:])),
		root:     word.Uint64(b[16:]),
		freelist: word.Uint64(b[32:]),
		pages:    word.Uint64(b[40:]),
		txid:     word.Uint64(b[48:]),
	}, valid
}

// page is one page with those it overflows to.
type page struct {
	number uint64
	flags  uint16
	count  int
	data   []byte // with the header
}

// read returns a page that nothing else uses.
func (p *pages) read(number uint64) (page, error) {
	if number < 2 || number >= p.pages {
		return page{}, damaged("it refers to page %d of %d", number, p.pages)
	}
	data := make([]byte, p.pageSize)
	if _, err := p.file.ReadAt(data, int64(number*p.pageSize)); err != nil {
		return page{}, fmt.Errorf("read page %d: %w", number, err)
	}
	overflow := uint64(word.Uint32(data[12:]))
	if word.Uint64(data) != number || overflow >= p.pages-number {
		return page{}, damaged("page %d has a wrong header", number)
	}
	for n := number; n <= number+overflow; n++ {
		if p.used[n] {
			return page{}, damaged("page %d is used twice", n)
		}
		p.used[n] = true
	}
	if overflow > 0 {
		data = make([]byte, (overflow+1)*p.pageSize)
		if _, err := p.file.ReadAt(data, int64(number*p.pageSize)); err != nil {
			return page{}, fmt.Errorf("read page %d: %w", number, err)
		}
	}
	return parsePage(number, data)
}

func parsePage(number uint64, data []byte) (page, error) {
	if len(data) < pageHeader {
		return page{}, damaged("page %d is short", number)
	}
	return page{number, word.Uint16(data[8:]), int(word.Uint16(data[10:])), data}, nil
}

// part is what lies at a distance from an element of a page.
func (g page) part(element int, distance, size uint32) ([]byte, error) {
	at := uint64(pageHeader+element*elementSize) + uint64(distance)
	if end := at + uint64(size); end <= uint64(len(g.data)) {
		return g.data[at:end:end], nil
	}
	return nil, damaged("an element of page %d is out of bounds", g.number)
}

// elements returns the elements of a page.
func (g page) elements() ([]byte, error) {
	end := pageHeader + g.count*elementSize
	if end > len(g.data) {
		return nil, damaged("page %d has too many elements", g.number)
	}
	return g.data[pageHeader:end], nil
}

// span is where keys have to be: from low, and before high unless that is nil.
type span struct{ low, high []byte }

// next checks the next key of a page.
func (s *span) next(g page, key []byte, first bool) error {
	order := bytes.Compare(key, s.low)
	if order < 0 || order == 0 && !first || s.high != nil && bytes.Compare(key, s.high) >= 0 {
		return damaged("the keys of page %d are not in order", g.number)
	}
	s.low = key
	return nil
}

// walk checks a page of a bucket, nil for the root of all, and what is below it.
func (p *pages) walk(number uint64, bucket []byte, within span, depth int) error {
	g, err := p.read(number)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return damaged("page %d is too deep", number)
	}
	switch g.flags {
	case branchPage:
		return p.branch(g, bucket, within, depth)
	case leafPage:
		return p.leaf(g, bucket, within)
	}
	return damaged("page %d is of the kind %x", number, g.flags)
}

func (p *pages) branch(g page, bucket []byte, within span, depth int) error {
	elements, err := g.elements()
	if err != nil {
		return err
	}
	keys := make([][]byte, g.count)
	for i := range keys {
		e := elements[i*elementSize:]
		if keys[i], err = g.part(i, word.Uint32(e), word.Uint32(e[4:])); err != nil {
			return err
		}
	}
	high := within.high
	for i := range keys {
		if err := within.next(g, keys[i], i == 0); err != nil {
			return err
		}
		child := span{keys[i], high}
		if i+1 < len(keys) {
			child.high = keys[i+1]
		}
		if err := p.walk(word.Uint64(elements[i*elementSize+8:]), bucket, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) leaf(g page, bucket []byte, within span) error {
	elements, err := g.elements()
	if err != nil {
		return err
	}
	for i := range g.count {
		e := elements[i*elementSize:]
		keySize, valueSize := word.Uint32(e[8:]), word.Uint32(e[12:])
		key, err := g.part(i, word.Uint32(e[4:]), keySize)
		if err != nil {
			return err
		}
		value, err := g.part(i, word.Uint32(e[4:])+keySize, valueSize)
		if err != nil {
			return err
		}
		if err := within.next(g, key, i == 0); err != nil {
			return err
		}
		isBucket := word.Uint32(e)&bucketElement != 0
		switch {
		case isBucket != (bucket == nil):
			return damaged("page %d has a record of the wrong kind", g.number)
		case isBucket:
			err = p.bucket(g.number, key, value)
		default:
			err = p.visit(bucket, key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks the root of a bucket; a small one is in the value itself.
func (p *pages) bucket(number uint64, name, value []byte) error {
	if len(value) < bucketHeader {
		return damaged("bucket %q is short", name)
	}
	if root := word.Uint64(value); root != 0 {
		return p.walk(root, name, span{}, 1)
	}
	inline, err := parsePage(number, value[bucketHeader:])
	if err != nil {
		return err
	}
	if inline.flags != leafPage {
		return damaged("bucket %q is of the kind %x", name, inline.flags)
	}
	return p.leaf(inline, name, span{})
}

// checkFree finds pages that are free and in use.
func (p *pages) checkFree() error {
	if p.freelist == noFreelist {
		return nil
	}
	g, err := p.read(p.freelist)
	if err != nil {
		return err
	}
	if g.flags != freelistPage {
		return damaged("the list of free pages is of the kind %x", g.flags)
	}
	numbers, count := g.data[pageHeader:], uint64(g.count)
	if g.count == 0xFFFF { // more than fit there
		count, numbers = word.Uint64(numbers), numbers[8:]
	}
	if count > uint64(len(numbers))/8 {
		return damaged("the list of free pages is short")
	}
	for i := range count {
		n := word.Uint64(numbers[8*i:])
		if n < 2 || n >= p.pages || p.used[n] {
			return damaged("page %d is free and in use", n)
		}
		p.used[n] = true
	}
	return nil
}
