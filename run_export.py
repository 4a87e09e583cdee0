"""Exports a network: python run_export.py --network=results/00000-digits-f-cpu --output=serving/models/stylegan"""

from stylegan_tf.commands.export import main

if __name__ == "__main__":
    main()
