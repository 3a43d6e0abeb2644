# A program of many files, whose result tells whether all of them were made right. COUNT says how many.
# The compiler's own files belong to the state, too.
export TMPDIR := $(CURDIR)

NUMBERS := $(shell seq 1 $(COUNT))

result.txt: program
	./program > $@

program: main.c $(NUMBERS:%=part%.o)
	cc -o $@ $^

main.c:
	@for i in $(NUMBERS); do echo "int part$$i(void);"; done > $@
	@echo '#include <stdio.h>' >> $@
	@echo 'int main(void) { int sum = 0;' >> $@
	@for i in $(NUMBERS); do echo "sum += part$$i();"; done >> $@
	@echo 'printf("%d", sum); }' >> $@

part%.o: part%.c
	cc -c -o $@ $<

part%.c:
	@sleep 0.05; echo 'int part$*(void) { return $*; }' > $@

.SECONDARY:
