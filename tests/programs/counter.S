/*
 * A boot sector that counts on the serial port of a PC, four hexadecimal digits a line, with a pause after each, and
 * then ends the machine through QEMU's isa-debug-exit.
 *
 * Build: cc -m32 -nostdlib -static -Wl,--build-id=none,-Ttext=0x7c00,--oformat=binary -DLINES=N counter.S
 */
	.code16
	.globl _start
_start:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7c00, %sp
	xor	%bx, %bx
line:
	mov	$4, %cx
	mov	%bx, %si
digit:
	rol	$4, %si
	mov	%si, %ax
	and	$15, %al
	add	$'0', %al
	cmp	$'9', %al
	jbe	print
	add	$('a' - '9' - 1), %al
print:
	mov	$0x3f8, %dx
	out	%al, %dx
	loop	digit
	mov	$'\n', %al
	out	%al, %dx
	inc	%bx
	cmp	$LINES, %bx
	je	end
	push	%bx
	mov	$0x86, %ah	/* the BIOS waits CX:DX microseconds */
	xor	%cx, %cx
	mov	$5000, %dx
	int	$0x15
	pop	%bx
	jmp	line
end:
	mov	$0x10, %al	/* QEMU exits with 2 * 0x10 + 1 */
	out	%al, $0xf4
	hlt
	jmp	end

	.org	510
	.word	0xaa55
