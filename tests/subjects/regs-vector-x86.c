/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Vector registers: a thread each holds patterns in the x87 stack, SSE, AVX and AVX-512 registers and the mask registers while it spins. */
#include <pthread.h>

#include "subject.h"

typedef void spin_fn(const void *in, void *out, volatile int *stop);
spin_fn spin_x87, spin_sse, spin_avx, spin_avx512;

#define SPIN_BEGIN(name) ".globl " #name "\n.type " #name ",@function\n" #name ":\n"
#define SPIN_LOOP "1:	pause\n	cmpl $0, (%rdx)\n	je 1b\n"
__asm__(".text\n.altmacro\n" SPIN_BEGIN(spin_x87)
        "	fninit\n	fldcw 80(%rdi)\n"
        ".irp i,0,1,2,3,4,5,6,7\n	fldt 10*\\i(%rdi)\n.endr\n" SPIN_LOOP
        ".irp i,7,6,5,4,3,2,1,0\n	fstpt 10*\\i(%rsi)\n.endr\n	fnstcw 80(%rsi)\n	fninit\n	ret\n"
        SPIN_BEGIN(spin_sse)
        "	stmxcsr -8(%rsp)\n	ldmxcsr 256(%rdi)\n"
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n	movups 16*\\i(%rdi), %xmm\\i\n.endr\n" SPIN_LOOP
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n	movups %xmm\\i, 16*\\i(%rsi)\n.endr\n"
        "	stmxcsr 256(%rsi)\n	ldmxcsr -8(%rsp)\n	ret\n"
        SPIN_BEGIN(spin_avx)
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n	vmovups 32*\\i(%rdi), %ymm\\i\n.endr\n" SPIN_LOOP
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n	vmovups %ymm\\i, 32*\\i(%rsi)\n.endr\n	vzeroupper\n	ret\n"
        SPIN_BEGIN(spin_avx512)
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n	vmovups 64*\\i(%rdi), %zmm\\i\n.endr\n"
        ".irp i,0,1,2,3,4,5,6,7\n	kmovq 2048+8*\\i(%rdi), %k\\i\n.endr\n" SPIN_LOOP
        ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n	vmovups %zmm\\i, 64*\\i(%rsi)\n.endr\n"
        ".irp i,0,1,2,3,4,5,6,7\n	kmovq %k\\i, 2048+8*\\i(%rsi)\n.endr\n	vzeroupper\n	ret\n"
        ".noaltmacro\n");

static volatile int stop;
static const struct kind {
	const char *name;
	spin_fn *spin;
	size_t size;
} kinds[] = { { "x87", spin_x87, 82 }, { "sse", spin_sse, 260 }, { "avx", spin_avx, 512 }, { "avx512", spin_avx512, 2112 } };

static void *spinner(void *arg)
{
	const struct kind *k = arg;
	_Alignas(64) uint8_t in[2176], out[2176];

	pattern_fill(in, sizeof(in), 200 + (uint64_t)(k - kinds));
	if (k->spin == spin_x87) {
		for (int i = 0; i < 8; i++) { /* Normal numbers: explicit integer bit set, exponent in range. */
			in[i * 10 + 7] |= 0x80;
			in[i * 10 + 8] = (uint8_t)(0x10 + i);
			in[i * 10 + 9] = 0x40;
		}
		in[80] = 0x7f; /* Double precision, rounding towards zero. */
		in[81] = 0x0e;
	} else if (k->spin == spin_sse) {
		const uint32_t mxcsr = 0xdf80; /* Flush to zero, rounding down, all exceptions masked. */

		memcpy(in + 256, &mxcsr, 4);
	}
	memset(out, 0, sizeof(out));
	k->spin(in, out, &stop);
	for (size_t i = 0; i < k->size; i++)
		if (in[i] != out[i]) {
			subject_fail("%s: byte %zu: expected %02x, got %02x", k->name, i, in[i], out[i]);
			break;
		}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[COUNT(kinds)];
	size_t n = 2;

	subject_init(argc, argv);
	if (__builtin_cpu_supports("avx"))
		n = 3;
	if (n == 3 && __builtin_cpu_supports("avx512bw"))
		n = 4;
	for (size_t i = 0; i < n; i++)
		MUST(!pthread_create(&t[i], NULL, spinner, (void *)&kinds[i]));
	sleep_ms(30);
	subject_wait();
	stop = 1;
	for (size_t i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
