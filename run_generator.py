"""Pictures of a trained network: python run_generator.py images --network=results/00000-digits-f-cpu --seeds=0-24"""

from stylegan_tf.commands.generate import main

if __name__ == "__main__":
    main()
