"""XLA's code generator with the least effort: where compiling takes far longer than running.

It takes a third of the time. The programs are the same; what LAMMPS runs is compiled as users do.
"""

FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
