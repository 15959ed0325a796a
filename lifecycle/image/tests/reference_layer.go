// Writes a folder as the reference lifecycle writes a buildpack's layer: headers from os.Lstat, absolute names, normalised.
package main

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	root := os.Args[1]
	at := "/layers/longshore_python/env"
	tw := tar.NewWriter(os.Stdout)
	write := func(name string, fi os.FileInfo, path string) {
		target := ""
		if fi.Mode()&os.ModeSymlink != 0 {
			var err error
			target, err = os.Readlink(path)
			check(err)
		}
		header, err := tar.FileInfoHeader(fi, target)
		check(err)
		header.Name = name
		header.Uid, header.Gid = 1000, 1000
		header.Uname, header.Gname = "", ""
		header.ModTime = time.Date(1980, time.January, 1, 0, 0, 1, 0, time.UTC)
		check(tw.WriteHeader(header))
		if fi.Mode().IsRegular() {
			file, err := os.Open(path)
			check(err)
			_, err = io.Copy(tw, file)
			check(err)
			check(file.Close())
		}
	}
	top, err := os.Lstat(root)
	check(err)
	write("/layers", top, root)
	write("/layers/longshore_python", top, root)
	check(filepath.Walk(root, func(path string, fi os.FileInfo, err error) error {
		check(err)
		if fi.Mode()&os.ModeSocket != 0 {
			return nil
		}
		below, err := filepath.Rel(root, path)
		check(err)
		write(filepath.Join(at, below), fi, path)
		return nil
	}))
	check(tw.Close())
}
