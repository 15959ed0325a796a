// Package util takes what a snapshot would leave out, and forgets it.
package util

type IgnoreListEntry struct {
	Path            string
	PrefixMatchOnly bool
}

func AddToDefaultIgnoreList(IgnoreListEntry) {}
