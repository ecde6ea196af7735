module github.com/digestgate/digestgate/tools/attack

go 1.26.3
