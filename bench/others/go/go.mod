module coir.bench/others

go 1.23
